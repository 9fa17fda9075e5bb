import Foundation

@testable import MQLockTool

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// A program in a session of its own, with a pseudo-terminal as its terminal.
final class Terminal: @unchecked Sendable {
    private let pid: pid_t
    private let master: Int32
    /// Touched by one reader at a time.
    private var shown = ""

    /// - Parameter arguments: without the program's name.
    init(_ path: String, _ arguments: [String], environment: [String: String], folder: String) throws {
        let (descriptor, name) = try Self.open()
        master = descriptor
        // Wide, so that no line of a test wraps.
        var size = winsize(ws_row: 60, ws_col: 250, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
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
        // The first terminal that the leader of a session opens is that of the session.
        posix_spawnattr_setflags(&attributes, Self.newSession)
        posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        var child: pid_t = 0
        let code = posix_spawn(
            &child, "/bin/sh", &actions, &attributes,
            Spawn.strings(["sh", "-c", #"cd "$0" && exec "$@""#, folder, path] + arguments),
            Spawn.environment(overriding: environment))
        guard code == 0 else {
            close(master)
            throw TestFailure("cannot start \(path): \(Platform.message(code))")
        }
        pid = child
    }

    #if os(Linux)
    /// POSIX_SPAWN_SETSID, which is not imported.
    private static let newSession: Int16 = 0x80

    /// posix_openpt(3) and its kin are not imported either: what they ask the kernel for, TIOCSPTLCK and TIOCGPTN.
    private static func open() throws -> (master: Int32, name: String) {
        let master = openFile("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var unlocked: Int32 = 0
        var number: UInt32 = 0
        guard master >= 0, ioctl(master, 0x4004_5431, &unlocked) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
            throw TestFailure("no pseudo-terminal: \(Platform.message(errno))")
        }
        return (master, "/dev/pts/\(number)")
    }
    #else
    private static let newSession = Int16(POSIX_SPAWN_SETSID)

    private static func open() throws -> (master: Int32, name: String) {
        let master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard master >= 0, grantpt(master) == 0, unlockpt(master) == 0, let name = ptsname(master) else {
            throw TestFailure("no pseudo-terminal: \(Platform.message(errno))")
        }
        return (master, String(cString: name))
    }
    #endif

    /// Ends the program and all that is left of its session.
    deinit {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        _ = Platform.retrying { waitpid(pid, &status, 0) }
        close(master)
    }

    func enter(_ text: String) throws {
        guard Platform.writeAll(text.utf8, to: master) else { throw TestFailure("the program has gone: \(shown)") }
    }

    /// Waits until that text is shown; returns what was shown before it, since the last call.
    func text(upTo end: String) async throws -> String {
        let text: String? = await blocking(killing: pid) { [self] in
            var bytes = [UInt8](repeating: 0, count: 4096)
            while true {
                if let range = shown.range(of: end) {
                    defer { shown = String(shown[range.upperBound...]) }
                    return String(shown[..<range.lowerBound])
                }
                let count = Platform.retrying { read(master, &bytes, bytes.count) }
                guard count > 0 else { return nil }
                shown += String(decoding: bytes.prefix(count), as: UTF8.self)
            }
        }
        guard let text else { throw TestFailure("it never showed \(end), but \(shown)") }
        return text
    }
}

/// open(2), which inside the type would be taken for its own.
private func openFile(_ path: String, _ flags: Int32) -> Int32 { open(path, flags) }
