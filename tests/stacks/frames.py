# SPDX-License-Identifier: MIT
# frames.py - in gdb: one line for each frame: pc, whether it is inlined, line, function, file. Frames that gdb infers from
# tail calls are left out: nothing of them is on the stack.
import gdb

frame = gdb.newest_frame()
while frame is not None:
    place = frame.find_sal()
    if frame.type() != gdb.TAILCALL_FRAME:
        print("FRAME\t%x\t%d\t%d\t%s\t%s" % (
            frame.pc(),
            frame.type() == gdb.INLINE_FRAME,
            place.line if place.symtab is not None else 0,
            frame.name() or "?",
            place.symtab.fullname() if place.symtab is not None else "?",
        ))
    frame = frame.older()
