"""What has become of the sessions, and whether the proxies hold in the end what they held in the beginning."""
import collections
import statistics
import threading
import time

from visits import Crossed

# KiB that a role's memory may grow by from the first rest to the last.
SLACK = 6 * 1024


class Tally:
    """What has become of sessions. Threads share it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.well, self.excused = collections.Counter(), collections.Counter()
        self.lost, self.crossed, self.words = [], [], 0

    def note(self, kind, proxy, began, error):
        with self.lock:
            if error is None:
                self.well[kind] += 1
                return
            text = f"{time.strftime('%T')} {kind} by {proxy.name}: {type(error).__name__}: {error}"
            if isinstance(error, Crossed):
                self.crossed.append(text)
            elif any(began <= kill for kill in proxy.kills):
                self.excused[kind] += 1
            else:
                self.lost.append(text)
                # The first ones tell; a run in which nothing works any more is not worth its time.
                if len(self.lost) <= 20:
                    print(f"  LOST {text}"[:600], flush=True)


def judge(tally, events, before, after, samples):
    """Prints what there was to see. Whether all was well."""
    faults = []
    total = sum(tally.well.values())
    print(f"{total} sessions and {tally.words} words of those that stayed came back with their markers; lost "
          f"{len(tally.lost)}, crossed {len(tally.crossed)}; {sum(tally.excused.values())} were open when their "
          "worker was killed, and broke")
    for kind, count in sorted(tally.well.items()):
        print(f"  {count:6} {kind}")
    print("  " + ", ".join(f"{kind} {count}" for kind, count in events.items()))
    faults += tally.lost[:20] + tally.crossed[:20]
    if len(tally.well) < 20:
        faults.append(f"only {len(tally.well)} kinds of sessions came about")
    for name, (shape, memory) in after.items():
        first_shape, first_memory = before[name]
        print(f"  {name} at rest: " + ", ".join(
            f"{role} {first_memory[role]} -> {memory[role]} KiB, {first_shape[role][1].total()} -> "
            f"{shape[role][1].total()} descriptors" for role in shape if role != "provider")
            + f", provider {first_memory['provider']} -> {memory['provider']} KiB")
        if shape != first_shape:
            faults.append(f"{name} holds {shape}, and in the beginning {first_shape}")
        faults += [f"{name}: the {role} has grown from {first_memory[role]} to {memory[role]} KiB"
                   for role in memory if memory[role] > first_memory[role] + SLACK]
    # Under load there are old generations with their sessions, so many as reloads have left.
    half = len(samples) // 2
    for what, measure in (("processes", lambda it: it[1]), ("descriptors", lambda it: it[3]),
                          ("KiB a process", lambda it: it[2] / it[1])):
        early, late = (statistics.median(map(measure, part)) for part in (samples[:half], samples[half:]))
        print(f"  under load: {what} {early:.0f} (median of the first half), {late:.0f} (of the second)")
        if late > early * 1.25 + 50:
            faults.append(f"{what} grow: {early} to {late}")
    for fault in faults:
        print(f"BROKEN: {fault}")
    return not faults
