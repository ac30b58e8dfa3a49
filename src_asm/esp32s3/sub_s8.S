/* sub_s8 for the ESP32-S3: contract, ways and registers in sum.inc. */
#include "sum.inc"

    SUM pienn_sub_s8_s3, 1
