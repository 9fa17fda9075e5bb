import MQLock
import MQLockLineReader
import MQLockRabbitMQ
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Holds and waits for many locks, as `Tests/Benchmarks/scale` says on standard input, and answers a line to each command.
///
/// - `up`: connects, and checks that it can lock.
/// - `hold PREFIX COUNT`: so many more names, held at once.
/// - `wait PREFIX COUNT`: waits for so many names, which somebody else holds.
/// - `kill PID`: kills the broker, and waits until every holder has been notified.
/// - `stand NAME`: waits for one name, says `granted` with its token, the wait and the time of
///   day in seconds, and releases.
/// - `quit`: ends in good order.
@main
struct ScaleWorker {
    static func main() async throws {
        guard CommandLine.arguments.count == 2 else {
            say("usage: ScaleWorker URI")
            exit(64)
        }
        let worker = ScaleWorker(locks: try RabbitMQLocks(.init(uri: CommandLine.arguments[1])))
        let (commands, input) = AsyncStream.makeStream(of: String.self)
        let thread = Task.detached {
            for line in LineReader() { input.yield(line) }
            input.finish()
        }
        for await command in commands {
            let words = command.split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("up", 1):
                try await worker.locks.verify(within: .seconds(60))
                say("up")
            case ("hold", 3): try await worker.hold(words[1], Int(words[2]) ?? 0)
            case ("wait", 3): try await worker.wait(words[1], Int(words[2]) ?? 0)
            case ("kill", 2): await worker.kill(Int32(words[1]) ?? 0)
            case ("stand", 2): try await worker.stand(LockName(words[1]))
            default:
                thread.cancel()
                await worker.locks.shutdown(within: .zero)
                exit(0)
            }
        }
    }

    let locks: RabbitMQLocks
    private let crowd = Crowd()

    private func hold(_ prefix: String, _ count: Int) async throws {
        let start = ContinuousClock.now
        let goal = crowd.held + count
        for number in 0..<count {
            let name = try LockName("\(prefix)/\(number)")
            Task { [locks, crowd] in
                do {
                    let held = try await locks.acquire(name)
                    crowd.granted()
                    for await state in held.lease.states {
                        guard case .lost = state else { continue }
                        crowd.lost(at: .now)
                    }
                    try? await held.release()
                } catch {
                    say("failed \(name) \(error)")
                }
            }
        }
        while crowd.held < goal { try await Task.sleep(for: .milliseconds(10)) }
        say("held \(goal) \(seconds(start.duration(to: .now)))")
    }

    private func wait(_ prefix: String, _ count: Int) async throws {
        for number in 0..<count {
            let name = try LockName("\(prefix)/\(number)")
            Task { [locks] in
                do { try await locks.acquire(name).release() } catch { say("failed \(name) \(error)") }
            }
        }
        say("waiting \(count)")
    }

    /// From the kill until the last holder knows; nothing else tells them.
    private func kill(_ broker: Int32) async {
        let held = crowd.held
        let start = ContinuousClock.now
        _ = end(broker, SIGKILL)
        while crowd.losses.count < held { try? await Task.sleep(for: .milliseconds(1)) }
        let times = crowd.losses.map { seconds(start.duration(to: $0)) }.sorted()
        say("lost \(held) first \(times[0]) median \(times[held / 2]) last \(times[held - 1])")
    }

    private func stand(_ name: LockName) async throws {
        let start = ContinuousClock.now
        say("stands")
        let held = try await locks.acquire(name)
        say("granted \(held.lease.fencingToken.rawValue) \(seconds(start.duration(to: .now))) \(timeOfDay)")
        try await held.release()
        say("released")
    }
}

/// Who holds, and who has lost its lock when.
private final class Crowd: Sendable {
    private let grants = Atomic(0)
    private let ends = Mutex<[ContinuousClock.Instant]>([])

    var held: Int { grants.load(ordering: .relaxed) }
    var losses: [ContinuousClock.Instant] { ends.withLock { $0 } }

    func granted() { grants.add(1, ordering: .relaxed) }
    func lost(at instant: ContinuousClock.Instant) { ends.withLock { $0.append(instant) } }
}

private func seconds(_ duration: Duration) -> Double {
    let (seconds, attoseconds) = duration.components
    return (Double(seconds) * 1000 + Double(attoseconds / 1_000_000_000_000_000)) / 1000
}

private func end(_ process: pid_t, _ signal: Int32) -> Int32 { kill(process, signal) }

private var timeOfDay: String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let microseconds = "\(1_000_000 + time.tv_nsec / 1000)".dropFirst()
    return "\(time.tv_sec).\(microseconds)"
}

private func say(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = write(1, bytes, bytes.count)
}
