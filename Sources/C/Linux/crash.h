#ifndef CRASH_H
#define CRASH_H

/* The calling thread gathers lines that a crash is to write. */
void crash_note_batch(void);

#endif
