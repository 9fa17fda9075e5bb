import Foundation
import MQLock
import MQLockRabbitMQ

// Jobs that are done once in a period.
extension Worker {
    /// For each command `do NUMBER PLAN` does the job of this hour, by this process's clock, if nobody has. The job writes
    /// `start` and `end` into the file that all these processes share, in the order of the writes; PLAN says where the
    /// process kills itself: at the `start`, at the `end` (before the mark), or not at all.
    static func once(_ locks: RabbitMQLocks, _ name: LockName, _ commands: Commands) async throws {
        let path = ProcessInfo.processInfo.environment["ONCE_JOURNAL"] ?? ""
        let journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        @Sendable func write(_ words: String) {
            let line = Array("\(words)\n".utf8)
            _ = line.withUnsafeBytes { Foundation.write(journal, $0.baseAddress, $0.count) }
        }
        say("ready")
        while let command = await commands.next() {
            let words = command.split(separator: " ").map(String.init)
            guard words.count == 3 else { return say("unknown \(command)") }
            let (number, plan) = (words[1], words[2])
            do {
                let result = try await locks.once(name, for: .hour, within: .seconds(60)) { lease in
                    write("start \(number) \(lease.fencingToken)")
                    if plan == "start" { kill(getpid(), SIGKILL) }
                    // libfaketime makes Dispatch's timers fail, and with them Swift's.
                    usleep(5000)
                    if Task.isCancelled {
                        write("stop \(number) \(lease.fencingToken)")
                        throw CancellationError()
                    }
                    write("end \(number) \(lease.fencingToken)")
                    if plan == "end" { kill(getpid(), SIGKILL) }
                    return lease.fencingToken
                }
                switch result {
                case .done(let token): say("over \(number) done \(token)")
                case .skipped(let mark): say("over \(number) skipped \(mark.fencingToken)")
                }
            } catch {
                say("over \(number) error \(error)")
            }
        }
    }
}
