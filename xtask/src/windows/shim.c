/* bcryptprimitives.dll for a Wine that lacks it: the one function that Rust's standard library asks for.
   Windows has the real one. Never ship this. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length); /* RtlGenRandom, in advapi32 */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    /* The length of a call is 32 bits wide there and 64 here. */
    const SIZE_T most = (SIZE_T)1 << 30;
    while (length > 0) {
        const ULONG part = (ULONG)(length < most ? length : most);
        if (!SystemFunction036(buffer, part)) {
            return FALSE;
        }
        buffer += part;
        length -= part;
    }
    return TRUE;
}
