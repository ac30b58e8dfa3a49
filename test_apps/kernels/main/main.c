/* The kernels of this build's target against the reference, call by call: the cases register themselves. */
#include "unity.h"

void app_main(void) {
    unity_run_menu();
}
