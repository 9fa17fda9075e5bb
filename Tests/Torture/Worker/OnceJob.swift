import Foundation
import MQLock

/// A job that is to be done once in a period. It writes `start` and `end` into the file that all processes share, in the order
/// of the writes; a plan says where the process kills itself: at the `start`, at the `end` (before the mark), or not at all.
struct OnceJob: Sendable {
    private let journal: Int32

    init(journal path: String) { journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600) }

    /// - Returns: `done TOKEN`, `skipped TOKEN` or `error …`.
    func run(
        _ number: String, _ plan: String, over locks: some MarkKeeping, _ name: LockName, for period: Period
    ) async -> String {
        do {
            let result = try await locks.once(name, for: period, within: .seconds(60)) { lease in
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
            case .done(let token): return "done \(token)"
            case .skipped(let mark): return "skipped \(mark.fencingToken)"
            }
        } catch {
            return "error \(error)"
        }
    }

    private func write(_ words: String) {
        let line = Array("\(words)\n".utf8)
        _ = line.withUnsafeBytes { Foundation.write(journal, $0.baseAddress, $0.count) }
    }
}
