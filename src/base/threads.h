// What the kernel knows of a thread.
#pragma once

namespace tern {

/// The calling thread's name in top, perf and debuggers: up to 15 bytes, the rest is cut.
void name_thread(const char* name);

/// The calling thread mostly sleeps, and what wakes it is urgent: it asks for short slices of time, for which
/// Linux from 6.12 on lets it run as soon as it wakes, before threads that compute for long. Its share of the
/// processor stays what it is. Elsewhere nothing happens.
void prefer_latency();

/// The calling thread takes of processors and disks only what others leave.
void prefer_others();

}  // namespace tern
