/* What the shim says, and the address that it connects to: as bytes, each text with its NUL. A string of C# would have two bytes for each. */
        .text
        .globl  texts
texts:  lea     first(%rip), %rax
        ret

        .section .rodata
        .short  1                       /* AF_UNIX: with the first text, struct sockaddr_un */
first:  .asciz  "/run/capsule/crossing/socket"
        .asciz  "error[CAP4130]: `"
        .asciz  "` is a program of another capsule, which cannot be reached\n  cause: connect /run/capsule/crossing/socket: errno "
        .asciz  "\n  fix:   `capsule link list` on the host shows the links; `capsule doctor` tells what is wrong there\n"
        .asciz  "error[CAP4131]: the arguments and variables of `"
        .asciz  "` are too long to be passed on\n  cause: they need more than 2 MB (E2BIG)\n  fix:   call it with less of them, or pass them by a file\n"
        .asciz  "error[CAP4132]: `"
        .asciz  "` was ended in the other capsule\n  cause: whoever passes programs on between capsules was killed, or has no descriptors left\n  fix:   call it again; `capsule doctor` on the host tells what is wrong there\n"
        .section .note.GNU-stack, "", @progbits
