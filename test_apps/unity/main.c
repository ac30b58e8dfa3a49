/* What ESP-IDF's start does, for builds without it. */
void app_main(void);

int main(void) {
    app_main();
    return 0;
}
