import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// posix_spawn(3) as all our children need it: an empty signal mask, default dispositions, and only the given
/// descriptors.
struct Spawn {
    typealias CStrings = [UnsafeMutablePointer<CChar>?]

    var path: String
    /// Ends with nil; the C strings outlive the call.
    var arguments: CStrings
    var environment: CStrings
    /// 0 creates a new group; any other number joins that group.
    var processGroup: pid_t = 0
    /// Descriptors that are passed under their own numbers although they are close-on-exec here.
    var inherited: [Int32] = []
    /// Descriptors to put in place of 0, 1, 2.
    var standard: [Int32: Int32] = [:]
    /// Signals that stay ignored, because they were ignored when we were started (nohup).
    var ignored: Set<Int32> = []

    /// Held while a pipe or a process is created. pipe2(2) is not imported, and a child started between the creation of
    /// a pipe and its marking as close-on-exec would keep it open until the child ends.
    private static let forkLock = Locked(false)

    /// - Returns: the process id, or the error number negated.
    func callAsFunction() -> pid_t {
        #if canImport(Darwin)
        var attributes: posix_spawnattr_t?
        var actions: posix_spawn_file_actions_t?
        #else
        var attributes = posix_spawnattr_t()
        var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawnattr_init(&attributes)
        posix_spawn_file_actions_init(&actions)
        defer {
            posix_spawnattr_destroy(&attributes)
            posix_spawn_file_actions_destroy(&actions)
        }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for signal in Signals.resettable where !ignored.contains(signal) { sigaddset(&defaults, signal) }
        #if canImport(Glibc)
        // Signals 32 and 33 belong to the C library. sigaddset refuses them, and without their bits posix_spawn leaves
        // them ignored. The command would pass that on to everything that it starts.
        withUnsafeMutableBytes(of: &defaults) { $0.storeBytes(of: $0.load(as: UInt.self) | 3 << 31, as: UInt.self) }
        #endif
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setpgroup(&attributes, processGroup)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        for (target, source) in standard.sorted(by: { $0.key < $1.key }) {
            posix_spawn_file_actions_adddup2(&actions, source, target)
        }
        // A descriptor duplicated onto itself loses close-on-exec.
        for descriptor in inherited { posix_spawn_file_actions_adddup2(&actions, descriptor, descriptor) }
        var pid: pid_t = 0
        let code = Self.forkLock.withLock { _ in
            posix_spawn(&pid, path, &actions, &attributes, arguments, environment)
        }
        return code == 0 ? pid : -code
    }

    /// Copies strings for the call. They are never freed, because we start only a few processes.
    static func strings(_ strings: [String]) -> CStrings { strings.map { strdup($0) } + [nil] }

    /// The environment with some variables replaced or added, and others removed.
    static func environment(
        overriding overrides: [String: String], without removed: Set<String> = []
    ) -> CStrings {
        var result: CStrings = []
        var next = environ
        while let entry = next.pointee {
            let name = String(String(cString: entry).prefix { $0 != "=" })
            if overrides[name] == nil, !removed.contains(name) { result.append(entry) }
            next = next.advanced(by: 1)
        }
        for (name, value) in overrides.sorted(by: { $0.key < $1.key }) { result.append(strdup("\(name)=\(value)")) }
        return result + [nil]
    }

    /// A pipe whose ends do not survive an exec, and do not get the number of a closed standard descriptor.
    static func pipe() -> (reading: Int32, writing: Int32)? {
        let moved: [Int32] = forkLock.withLock { _ in
            var ends: [Int32] = [-1, -1]
            guard makePipe(&ends) == 0 else { return [-1, -1] }
            return ends.map { end in
                let copy = fcntl(end, F_DUPFD_CLOEXEC, 3)
                close(end)
                return copy
            }
        }
        guard moved.allSatisfy({ $0 >= 0 }) else {
            for end in moved where end >= 0 { close(end) }
            return nil
        }
        return (moved[0], moved[1])
    }
}

private func makePipe(_ ends: inout [Int32]) -> Int32 { pipe(&ends) }
