/* The clocks that every request reads.
 *
 * hc_monotonic: seconds, the clock of Python's time.monotonic on the platform, so that both may be compared.
 * hc_unix_seconds: whole seconds since 1970.
 * hc_unix_milliseconds: the same in milliseconds. */
#ifndef HYPERCORN_CLOCK_H
#define HYPERCORN_CLOCK_H

#include <time.h>

#if defined(_WIN32)
#include <windows.h>

static inline double hc_monotonic(void)
{
    LARGE_INTEGER count, frequency;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&count);
    return (double)count.QuadPart / (double)frequency.QuadPart;
}

static inline long long hc_unix_milliseconds(void)
{
    FILETIME now; /* 100 ns since 1601 */
    GetSystemTimeAsFileTime(&now);
    return (long long)(((unsigned long long)now.dwHighDateTime << 32 | now.dwLowDateTime) / 10000) - 11644473600000;
}
#else

static inline double hc_monotonic(void)
{
    struct timespec now;
#if defined(__APPLE__)
    clock_gettime(CLOCK_UPTIME_RAW, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline long long hc_unix_milliseconds(void)
{
    struct timespec now;
    if (timespec_get(&now, TIME_UTC) == 0)
        return (long long)time(NULL) * 1000;
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
#endif

static inline long long hc_unix_seconds(void) { return (long long)time(NULL); }

#endif
