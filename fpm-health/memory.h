/* Keeps the resident size at what serving needs. */
#ifndef FPM_HEALTH_MEMORY_H
#define FPM_HEALTH_MEMORY_H

/*
 * Unmaps the pages of code and constants, of this program and of all its libraries. Those in use are mapped again from the
 * page cache as they are touched; the others, which only start-up needed, are two thirds of the process.
 */
void memory_forget_startup(void);

#endif
