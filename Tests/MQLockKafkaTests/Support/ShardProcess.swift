import Foundation
import Testing

/// A `ShardWorker` that runs.
final class ShardProcess: Sendable {
    let name: String
    private let pid: pid_t
    /// Its standard input, at whose end it leaves.
    private let input: Int32

    init(_ name: String, _ broker: LiveKafka, topic: String, partitions: Int, session: Int, history: URL) throws {
        let program = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            .deletingLastPathComponent().appending(path: "ShardWorker").path
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        // Other children must not keep it open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        let arguments = [
            program, broker.brokers.joined(separator: ","), topic, "\(partitions)", "\(session)", history.path, name,
        ]
        var argv = arguments.map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, program, &actions, nil, &argv, environ)
        close(ends[0])
        try #require(status == 0, "\(program): \(String(cString: strerror(status)))")
        (self.name, self.pid, input) = (name, pid, ends[1])
    }

    deinit {
        close(input)
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Lets it leave the group and end.
    func leave() { close(input) }
}
