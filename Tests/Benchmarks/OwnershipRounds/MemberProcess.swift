import Foundation
import MQLockLineReader

/// A member in a process of its own.
final class MemberProcess: @unchecked Sendable {
    let number: Int
    private let pid: pid_t
    /// Its standard input, at whose end it leaves.
    private var input: Int32

    /// - Parameter sighted: called on a thread of its own.
    init(
        _ number: Int, _ contestant: Contestant, _ place: Place,
        sighted: @escaping @Sendable (_ member: Int, Sighting) -> Void
    ) throws {
        self.number = number
        let arguments = [
            Bundle.main.executablePath ?? CommandLine.arguments[0], contestant.rawValue, place.brokers,
            String(place.session), place.topic.name,
            String(place.topic.shards),
        ]
        let (toChild, fromChild) = (try Self.pipe(), try Self.pipe())
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, toChild.read, 0)
        posix_spawn_file_actions_adddup2(&actions, fromChild.write, 1)
        var argv = arguments.map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var pid: pid_t = 0
        guard posix_spawn(&pid, arguments[0], &actions, nil, &argv, environ) == 0 else {
            throw Failure("a member could not be started")
        }
        (self.pid, input) = (pid, toChild.write)
        close(toChild.read)
        close(fromChild.write)
        let output = fromChild.read
        Thread.detachNewThread {
            for line in LineReader(output) {
                if let sighting = Sighting(line: line) { sighted(number, sighting) }
            }
            close(output)
        }
    }

    /// Lets it leave the group and end.
    func leave() {
        if input >= 0 { close(input) }
        input = -1
    }

    func kill() { Foundation.kill(pid, SIGKILL) }

    func waitForEnd() {
        while waitpid(pid, nil, 0) < 0, errno == EINTR {}
        leave()
    }

    /// Both ends are closed in the members that are started later: each has to see the end of its own input.
    private static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard Foundation.pipe(&ends) == 0 else { throw Failure("no pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}
