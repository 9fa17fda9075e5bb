import Foundation

/// Runs programs to their end.
///
/// Not Foundation's `Process`: on Linux it takes a program for running as long as any descendant does, and a restarted
/// broker is one.
enum Program {
    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    /// Returns what the program wrote; throws that when its status is not 0.
    @discardableResult
    static func run(_ path: String, _ arguments: [String]) async throws -> String {
        let result = OneShot<Result<String, Failed>>()
        Thread.detachNewThread { result.fulfil(Result { () throws(Failed) in try runBlocking(path, arguments) }) }
        return try await result.value(within: .seconds(90), "the end of \(path) \(arguments)").get()
    }

    private static func runBlocking(_ path: String, _ arguments: [String]) throws(Failed) -> String {
        let output = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString)").path
        defer { unlink(output) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, path, &actions, nil, &argv, environ)
        guard status == 0 else { throw Failed(description: "\(path): \(String(cString: strerror(status)))") }
        var ending: Int32 = 0
        while waitpid(pid, &ending, 0) < 0, errno == EINTR {}
        let written = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        guard ending == 0 else {
            throw Failed(description: "\(path) \(arguments.joined(separator: " ")): status \(ending): \(written)")
        }
        return written
    }
}
