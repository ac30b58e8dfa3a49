/* Cycles of single kernels on this chip: the cases register themselves. */
#include "unity.h"

void app_main(void) {
    unity_run_menu();
}
