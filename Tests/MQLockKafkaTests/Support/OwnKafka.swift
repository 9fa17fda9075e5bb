import Foundation
import Testing

/// A mock of a Kafka cluster for one test alone, which may break it: other tests run beside on others.
final class OwnKafka: Sendable {
    let broker: LiveKafka
    /// The process that serves it.
    let pid: pid_t
    private let folder: URL
    /// It ends with its standard input, so also when this program does.
    private let input: Int32

    init(brokers: Int = 1) throws {
        let program = programBesideTests("EmbeddedKafka")
        folder = FileManager.default.temporaryDirectory.appending(path: "mqlock-kafka-\(UInt64.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        let arguments = ["serve", folder.path, "--attached", "--brokers", "\(brokers)"]
        (pid, input) = try spawn(program, arguments)
        let bootstrap = folder.appending(path: "bootstrap")
        let deadline = ContinuousClock.now.advanced(by: .seconds(30))
        var addresses: String?
        while addresses == nil {
            try #require(ContinuousClock.now < deadline, "the mock Kafka did not come up")
            usleep(2_000)
            addresses = try? String(contentsOf: bootstrap, encoding: .utf8)
        }
        let list = addresses?.trimmingCharacters(in: .newlines).split(separator: ",").map(String.init) ?? []
        broker = LiveKafka(brokers: list, control: [program, "control", folder.path])
    }

    deinit {
        close(input)
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
        try? FileManager.default.removeItem(at: folder)
    }

    func signal(_ number: Int32) { kill(pid, number) }
}

/// Where a program of this package lies: beside the one that runs the tests.
func programBesideTests(_ name: String) -> String {
    let this = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(filePath: this).deletingLastPathComponent().appending(path: name).path
}

/// Starts a program, and tells its pid and the write end of its standard input.
/// - Parameter output: a file for its standard output.
func spawn(
    _ program: String, _ arguments: [String], output: String? = nil
) throws -> (pid: pid_t, input: Int32) {
    let ends = try closedInChildren()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends.0, 0)
    if let output { posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600) }
    var argv = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var pid: pid_t = 0
    let status = posix_spawn(&pid, program, &actions, nil, &argv, environ)
    close(ends.0)
    if status != 0 { close(ends.1) }
    try #require(status == 0, "\(program): \(String(cString: strerror(status)))")
    return (pid, ends.1)
}

/// A pipe (of sockets, which can be made so at once) that no child keeps open that another test starts meanwhile.
func closedInChildren() throws -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
    return (ends[0], ends[1])
}
