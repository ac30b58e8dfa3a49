"""RISC-V pseudo-instructions: text patterns that stand for one or more instructions.

`$1 $2 ...` are the operands of the statement. A line holds the pattern, `=`, and the instructions.
Several lines of one mnemonic with different operand counts are alternatives. `@` in front marks those
that only count on chips without the instruction of that name (Zbb).
"""

from __future__ import annotations

import functools

_TEXT = """
nop = addi zero, zero, 0
not $1, $2 = xori $1, $2, -1
neg $1, $2 = sub $1, zero, $2
seqz $1, $2 = sltiu $1, $2, 1
snez $1, $2 = sltu $1, zero, $2
sltz $1, $2 = slt $1, $2, zero
sgtz $1, $2 = slt $1, zero, $2
sgt $1, $2, $3 = slt $1, $3, $2
sgtu $1, $2, $3 = sltu $1, $3, $2
zext.b $1, $2 = andi $1, $2, 255
@sext.b $1, $2 = slli $1, $2, 24; srai $1, $1, 24
@sext.h $1, $2 = slli $1, $2, 16; srai $1, $1, 16
@zext.h $1, $2 = slli $1, $2, 16; srli $1, $1, 16
beqz $1, $2 = beq $1, zero, $2
bnez $1, $2 = bne $1, zero, $2
blez $1, $2 = bge zero, $1, $2
bgez $1, $2 = bge $1, zero, $2
bltz $1, $2 = blt $1, zero, $2
bgtz $1, $2 = blt zero, $1, $2
bgt $1, $2, $3 = blt $2, $1, $3
ble $1, $2, $3 = bge $2, $1, $3
bgtu $1, $2, $3 = bltu $2, $1, $3
bleu $1, $2, $3 = bgeu $2, $1, $3
jal $1 = jal ra, $1
ret = jr ra
call $1 = .pair_call ra, ra, $1
call $1, $2 = .pair_call $1, $1, $2
tail $1 = .pair_call zero, t1, $1
jump $1, $2 = .pair_call zero, $2, $1
la $1, $2 = .pair_address $1, $2
lla $1, $2 = .pair_address $1, $2
fmv.s $1, $2 = fsgnj.s $1, $2, $2
fabs.s $1, $2 = fsgnjx.s $1, $2, $2
fneg.s $1, $2 = fsgnjn.s $1, $2, $2
fgt.s $1, $2, $3 = flt.s $1, $3, $2
fge.s $1, $2, $3 = fle.s $1, $3, $2
csrr $1, $2 = csrrs $1, $2, zero
rdcycle $1 = csrrs $1, cycle, zero
rdcycleh $1 = csrrs $1, cycleh, zero
rdtime $1 = csrrs $1, time, zero
rdtimeh $1 = csrrs $1, timeh, zero
rdinstret $1 = csrrs $1, instret, zero
rdinstreth $1 = csrrs $1, instreth, zero
frcsr $1 = csrrs $1, fcsr, zero
frsr $1 = csrrs $1, fcsr, zero
fscsr $1, $2 = csrrw $1, fcsr, $2
fscsr $1 = csrrw zero, fcsr, $1
fssr $1, $2 = csrrw $1, fcsr, $2
fssr $1 = csrrw zero, fcsr, $1
frrm $1 = csrrs $1, frm, zero
fsrm $1, $2 = csrrw $1, frm, $2
fsrm $1 = csrrw zero, frm, $1
fsrmi $1, $2 = csrrwi $1, frm, $2
fsrmi $1 = csrrwi zero, frm, $1
frflags $1 = csrrs $1, fflags, zero
fsflags $1, $2 = csrrw $1, fflags, $2
fsflags $1 = csrrw zero, fflags, $1
fsflagsi $1, $2 = csrrwi $1, fflags, $2
fsflagsi $1 = csrrwi zero, fflags, $1
scall = ecall
sbreak = ebreak
"""

# With a number as last operand these become the instruction named beside them.
WITH_NUMBER = {
    "add": "addi", "and": "andi", "or": "ori", "xor": "xori", "slt": "slti", "sltu": "sltiu", "sll": "slli",
    "srl": "srli", "sra": "srai", "csrw": "csrwi", "csrs": "csrsi", "csrc": "csrci", "csrrw": "csrrwi",
    "csrrs": "csrrsi", "csrrc": "csrrci", "ror": "rori", "bclr": "bclri", "bext": "bexti", "binv": "binvi",
    "bset": "bseti",
}  # fmt: skip

_CSR_WRITES = """
csrw $1, $2 = csrrw zero, $1, $2
csrs $1, $2 = csrrs zero, $1, $2
csrc $1, $2 = csrrc zero, $1, $2
csrwi $1, $2 = csrrwi zero, $1, $2
csrsi $1, $2 = csrrsi zero, $1, $2
csrci $1, $2 = csrrci zero, $1, $2
"""

LOADS_AND_STORES = frozenset("lb lbu lh lhu lw flw sb sh sw fsw".split())


@functools.cache
def pseudo_instructions() -> dict[tuple[str, int], list[str]]:
    """(mnemonic, number of operands) -> instruction texts; `@mnemonic` where the chip may have it itself."""
    table: dict[tuple[str, int], list[str]] = {}
    for line in (_TEXT + _CSR_WRITES).strip().splitlines():
        if not line:
            continue
        left, _, right = line.partition(" = ")
        mnemonic, _, operands = left.partition(" ")
        count = operands.count("$")
        table[mnemonic, count] = [str(text) for text in right.split("; ")]
    return table
