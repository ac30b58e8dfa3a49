/* sub_s8 for the ESP32-P4: contract, ways and registers in sum.inc. */
#include "sum.inc"

    SUM pienn_sub_s8_p4, 1
