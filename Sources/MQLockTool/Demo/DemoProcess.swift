import Foundation
import MQLock

/// A worker process of the demo, as its parent sees it.
struct DemoProcess: Sendable {
    let id: String
    let pid: pid_t
    private let toWorker: Int32
    /// Whether the process has been waited for, so that its id may be another's.
    private let isCollected = Locked(false)

    /// What comes from a worker.
    enum Output: Sendable {
        case line(String)
        /// With the status that `waitpid` gave. The last thing to come.
        case ended(status: Int32)
    }

    /// Starts a worker, in a process group of its own: Ctrl-C is for the parent, and when that dies with a worker
    /// stopped, the kernel hangs up such an orphaned group.
    /// - Parameter deliver: takes the output; called on a thread of this worker's own.
    init(
        id: String, arguments: [String], broker: String, deliver: @escaping @Sendable (Output) -> Void
    ) throws(DemoFailure) {
        var input: [Int32] = [-1, -1]
        var output: [Int32] = [-1, -1]
        guard pipe(&input) == 0 else { throw .system("pipe", id) }
        guard pipe(&output) == 0 else {
            Self.close(input)
            throw .system("pipe", id)
        }
        // Only this worker may have the other ends: its own end is known by theirs.
        for descriptor in input + output { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        let pid = Self.spawn(arguments, broker: broker, input: input[0], output: output[1])
        Self.close([input[0], output[1]])
        guard pid > 0 else {
            Self.close([input[1], output[0]])
            errno = -pid
            throw .system("start", Self.executable)
        }
        self.id = id
        self.pid = pid
        toWorker = input[1]
        let fromWorker = output[0]
        Thread.detachNewThread { [self] in
            guard let stream = fdopen(fromWorker, "r") else { return }
            var buffer: UnsafeMutablePointer<CChar>?
            var capacity = 0
            while getline(&buffer, &capacity, stream) > 0, let buffer { deliver(.line(String(cString: buffer))) }
            free(buffer)
            fclose(stream)
            deliver(.ended(status: collect()))
        }
    }

    /// Sends a line; one to a worker that is dead is lost.
    func send(_ word: String) {
        let line = word + "\n"
        _ = line.withCString { write(toWorker, $0, line.utf8.count) }
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
        // Left waitable: the thread that reads collects the end.
        while waitid(P_PID, id_t(pid), &info, WSTOPPED | WEXITED | WNOWAIT) == -1, errno == EINTR {}
    }

    /// Closes our end, after the process has ended.
    func close() { Self.close([toWorker]) }

    private static func close(_ descriptors: [Int32]) {
        for descriptor in descriptors { _ = Foundation.close(descriptor) }
    }

    /// This very program, also when its file has been replaced since.
    private static var executable: String {
        #if os(Linux)
        "/proc/self/exe"
        #else
        Bundle.main.executablePath ?? CommandLine.arguments[0]
        #endif
    }

    /// - Returns: the process id, or the error number negated.
    private static func spawn(_ arguments: [String], broker: String, input: Int32, output: Int32) -> pid_t {
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
        #else
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        // What we block or ignore must not be inherited: a worker whose parent is gone has to die of its pipe.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var environment = ProcessInfo.processInfo.environment
        environment["MQLOCK_BROKER"] = broker
        let words = (["mqlock", "demo-worker"] + arguments).map { strdup($0) }
        let variables = environment.map { strdup("\($0.key)=\($0.value)") }
        defer { for string in words + variables { free(string) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, executable, &actions, &attributes, words + [nil], variables + [nil])
        return code == 0 ? pid : -code
    }
}
