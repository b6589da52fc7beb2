#!/usr/bin/env python3
"""speak.py SOCKET GROUP CASE: says to the broker what no shim says, from within the control group of a capsule."""
import array, glob, os, socket, struct, sys, time

path, group, case = sys.argv[1:4]
for directory in glob.glob(f"/sys/fs/cgroup/*/{group}") + glob.glob(f"/sys/fs/cgroup/{group}"):
    with open(directory + "/cgroup.procs", "w") as file: file.write(str(os.getpid()))

def dial():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    return s

def hear(s):
    data = b""
    try:
        while part := s.recv(65536): data += part
    except ConnectionError: pass
    return data.decode(errors="replace")

def message(magic=b"CROSSING", version=1, size=None, count=1, text=b"/\0x\0", descriptors=0):
    return magic + struct.pack("<IIIIII", version, size or 312 + len(text), count, 0, descriptors, 0) + bytes(280) + text

def say(content):
    s = dial()
    s.sendall(content)
    print(hear(s))

if case == "garbage":
    for content in (os.urandom(400), message(magic=b"CROSSINH"), message(version=9), message(size=3 << 20), message(size=20), message(count=0), message(count=1 << 31), message(text=b"no end"), message(descriptors=3),
                    message(descriptors=1, text=bytes(8))): say(content)
elif case == "descriptors":
    s = dial()
    s.sendmsg([message()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 200))])
    print(hear(s))
elif case == "right": say(message())
elif case == "slow":
    s, start = dial(), time.time()
    s.sendall(message()[:100])
    print(hear(s), 9 < time.time() - start < 15)
elif case == "many":
    many = [dial() for _ in range(256)]
    time.sleep(0.5)
    print(hear(dial()))
elif case == "gone": many = [dial() for _ in range(300)]
