#include "pienn/runtime.h"
#include "port.h"
#include "text.h"

pienn_err_t pienn_caller_error(const void *arena) {
    if (pienn_in_isr()) {
        return PIENN_ERR_IN_ISR;
    }
    return !arena || (uintptr_t)arena % PIENN_ALIGNMENT ? PIENN_ERR_INVALID_ARG : PIENN_OK;
}

void pienn_check_caller(const char *network, const void *arena) {
    const pienn_err_t error = pienn_caller_error(arena);
    if (error == PIENN_OK) {
        return;
    }
    line out;
    line_clear(&out);
    line_add(&out, network);
    line_add(&out,
             error == PIENN_ERR_IN_ISR
                 ? ": run in an interrupt handler, where PIE must not be used: run it in a task"
                 : ": the arena is NULL or not aligned to 16 bytes: align it, or take pienn_arena_alloc");
    pienn_port_stop(out.text);
}
