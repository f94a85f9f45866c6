# A stand-in for the Windows library of this name, which wine 8 lacks and Go programs need for their random numbers:
# ProcessPrng(buffer, length) by way of RtlGenRandom, which advapi32 exports as SystemFunction036.

	.text
	.globl ProcessPrng
ProcessPrng:
	subq $40, %rsp                      # the callee's 32 bytes of home space, and alignment
	callq *__imp_SystemFunction036(%rip)
	movzbl %al, %eax                    # BOOLEAN to BOOL
	addq $40, %rsp
	ret

	.globl DllMain
DllMain:
	movl $1, %eax
	ret

	.section .drectve
	.ascii " -export:ProcessPrng"
