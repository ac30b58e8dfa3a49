#include "pienn/runtime.h"

const char *pienn_err_to_name(pienn_err_t error) {
    switch (error) {
    case PIENN_OK:
        return "PIENN_OK";
    case PIENN_ERR_NO_MEM:
        return "PIENN_ERR_NO_MEM";
    case PIENN_ERR_INVALID_ARG:
        return "PIENN_ERR_INVALID_ARG";
    case PIENN_ERR_IN_ISR:
        return "PIENN_ERR_IN_ISR";
    case PIENN_ERR_DIFFERENT:
        return "PIENN_ERR_DIFFERENT";
    default:
        return "unknown error";
    }
}
