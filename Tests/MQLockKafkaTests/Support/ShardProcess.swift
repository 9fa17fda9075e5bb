import Foundation
import MQLock
import Testing

/// A `ShardWorker` that runs.
final class ShardProcess: Sendable {
    let name: String
    private let pid: pid_t
    /// Its standard input, at whose end it leaves.
    private let input: Int32
    private let isClosed = Locked(false)

    init(_ arguments: [String], name: String = "") throws {
        self.name = name
        (pid, input) = try spawn(programBesideTests("ShardWorker"), arguments)
    }

    convenience init(
        _ name: String, _ broker: LiveKafka, topic: String, partitions: Int, session: Int, history: URL,
        hasNoDeadline: Bool = false
    ) throws {
        try self.init(
            [
                "own", broker.brokers.joined(separator: ","), topic, "\(partitions)", "\(session)", history.path, name,
                hasNoDeadline ? "no-deadline" : "sound",
            ], name: name)
    }

    deinit {
        leave()
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Lets it leave the group and end.
    func leave() {
        // Once: the number may by then be another file's.
        let isFirst = isClosed.withLock { closed in
            defer { closed = true }
            return !closed
        }
        if isFirst { close(input) }
    }
}
