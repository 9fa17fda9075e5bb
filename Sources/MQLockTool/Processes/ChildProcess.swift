import Foundation
import MQLock
import MQLockLineReader

/// A worker process of this program, as its parent sees it; for `demo` and `bench`.
struct ChildProcess: Sendable {
    let id: String
    let pid: pid_t
    private let toWorker: Int32
    /// Whether the process has been waited for, so that its id may belong to another process.
    private let isCollected = Locked(false)

    /// The output of a worker.
    enum Output: Sendable {
        case line(String)
        /// With the status from `waitpid`. The last output.
        case ended(status: Int32)
    }

    /// Starts a worker in a process group of its own: Ctrl-C is for the parent. When the parent dies and a worker is
    /// stopped, the kernel hangs up that orphaned group.
    /// - Parameters:
    ///   - command: the hidden subcommand to run.
    ///   - deliver: receives the output; called on a thread of this worker's own.
    init(
        id: String, command: CommandDescriptor.Kind, arguments: [String], broker: String,
        deliver: @escaping @Sendable (Output) -> Void
    ) throws(CommandFailure) {
        // Close-on-exec: only this worker may have the other ends, because their closing shows its end.
        guard let input = Spawn.pipe() else { throw .system("pipe", id) }
        guard let output = Spawn.pipe() else {
            Self.close(input.reading, input.writing)
            throw .system("pipe", id)
        }
        guard let executable = OwnWords.executable else { throw .system("find", "mqlock") }
        let spawn = Spawn(
            path: executable, arguments: Spawn.strings(["mqlock", command.rawValue] + arguments),
            environment: Spawn.environment(overriding: [BrokerSource.variable: broker]),
            standard: [0: input.reading, 1: output.writing])
        let pid = spawn()
        Self.close(input.reading, output.writing)
        guard pid > 0 else {
            Self.close(input.writing, output.reading)
            errno = -pid
            throw .system("start", executable)
        }
        self.id = id
        self.pid = pid
        toWorker = input.writing
        let fromWorker = output.reading
        Thread.detachNewThread { [self] in
            for line in LineReader(fromWorker) { deliver(.line(line)) }
            Self.close(fromWorker)
            deliver(.ended(status: collect()))
        }
    }

    /// Sends a line; a line to a dead worker is lost.
    func send(_ word: String) {
        Platform.writeAll("\(word)\n".utf8, to: toWorker)
    }

    func signal(_ number: Int32) {
        isCollected.withLock { isCollected in
            if !isCollected { kill(pid, number) }
        }
    }

    /// Kills the process, stopped or not, and waits for its end.
    func end() {
        signal(SIGKILL)
        _ = collect()
    }

    private func collect() -> Int32 {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
        return isCollected.withLock { isCollected in
            var status: Int32 = 0
            if !isCollected { while waitpid(pid, &status, 0) == -1, errno == EINTR {} }
            isCollected = true
            return status
        }
    }

    /// Waits until the process has stopped, or ended.
    func awaitStop() {
        var info = siginfo_t()
        // Left waitable: the reading thread collects the end.
        while waitid(P_PID, id_t(pid), &info, WSTOPPED | WEXITED | WNOWAIT) == -1, errno == EINTR {}
    }

    /// Closes our end, after the process has ended.
    func close() { Self.close(toWorker) }

    private static func close(_ descriptors: Int32...) {
        for descriptor in descriptors { _ = Foundation.close(descriptor) }
    }
}
