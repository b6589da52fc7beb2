#!/usr/bin/env python3
"""terminal.py ROWS COLUMNS STEP... -- COMMAND...: runs a command in a terminal. A step is `wait TEXT` until that is shown, `type TEXT` (with escapes), or
`size ROWS COLUMNS`. What was shown is printed; the exit status is the command's."""
import fcntl, os, pty, select, struct, sys, termios, time

split = sys.argv.index("--")
rows, columns = map(int, sys.argv[1:3])
steps, command = sys.argv[3:split], sys.argv[split + 1:]
pid, master = pty.fork()
if pid == 0:
    time.sleep(0.1)
    os.execvp(command[0], command)

def resize(r, c): fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", r, c, 0, 0))

resize(rows, columns)
shown, seen = b"", 0

def read(seconds):
    global shown
    if not select.select([master], [], [], seconds)[0]: return True
    try: data = os.read(master, 65536)
    except OSError: return False
    shown += data
    return bool(data)

for step in steps:
    what, _, text = step.partition(" ")
    if what == "wait":
        end = time.time() + 15
        while text.encode() not in shown[seen:]:
            if time.time() > end or not read(0.2):
                sys.stdout.buffer.write(shown)
                print(f"\nNOT SHOWN: {text}")
                os.kill(pid, 9)
                sys.exit(99)
        seen = shown.index(text.encode(), seen) + len(text.encode())
    elif what == "type": os.write(master, text.encode().decode("unicode_escape").encode())
    elif what == "size": resize(*map(int, text.split()))
end = time.time() + 15
while read(0.5) and time.time() < end: pass
sys.stdout.buffer.write(shown)
sys.stdout.flush()
for attempt in range(50):
    done, status = os.waitpid(pid, os.WNOHANG)
    if done: break
    time.sleep(0.1)
if done == 0: os.kill(pid, 9)
sys.exit(98 if done == 0 else os.waitstatus_to_exitcode(status) & 0xff)
