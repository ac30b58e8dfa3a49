/* What a port defines: this, and of pienn/runtime.h pienn_cycles, pienn_clock_mhz, pienn_arena_alloc,
 * pienn_arena_free, pienn_in_isr, pienn_write_line and pienn_log. */
#ifndef PIENN_PORT_H
#define PIENN_PORT_H

#ifndef PIENN_LOG_LEVEL
#define PIENN_LOG_LEVEL 3
#endif

/* Says why and ends the program; may be called from an interrupt handler. */
_Noreturn void pienn_port_stop(const char *reason);

#endif
