import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A file with the broker's URI that nobody else can read, unless root has let a group read it.
enum BrokerFile {
    private static let maximumSize = 64 * 1024

    /// The first line that is neither empty nor a comment (`#`).
    static func read(_ path: String) throws(CommandFailure) -> String {
        let shown = path.escapedForDisplay
        let descriptor = Platform.retrying { open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) }
        guard descriptor >= 0 else {
            let message = "cannot read the broker file \(shown): \(Platform.message(errno))"
            if errno == EACCES || errno == EPERM { throw refused(message) }
            throw .usage(message)
        }
        defer { close(descriptor) }
        // Checked on the descriptor, not on the path, so nobody can swap the file in between.
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .usage("cannot read the broker file \(shown): \(Platform.message(errno))")
        }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw .usage("the broker file \(shown) is a folder") }
        if let complaint = complaint(owner: status.st_uid, mode: status.st_mode & 0o777, user: geteuid()) {
            throw refused("the broker file \(shown) \(complaint)")
        }
        return try firstLine(contents(descriptor, shown), shown)
    }

    /// What is wrong with a file of that owner and mode, for a process of that user; nil when nothing is.
    static func complaint(owner: uid_t, mode: mode_t, user: uid_t) -> String? {
        guard owner == user || owner == 0 else { return "belongs to another user; it has to be ours, with mode 0600" }
        // Root decides who is in a group. A mounted secret is like this, and its reader cannot change its mode.
        let others: mode_t = owner == 0 ? 0o037 : 0o077
        guard mode & others == 0 else {
            let advice = owner == 0 ? "make it 0600, or 0440 for a group" : "chmod 600 it"
            return "can be used by others (mode 0\(String(mode, radix: 8))): \(advice), and change the password"
        }
        return nil
    }

    private static func contents(_ descriptor: Int32, _ shown: String) throws(CommandFailure) -> [UInt8] {
        // A pipe, as in <(command), is allowed. Non-blocking was for opening a FIFO that nobody writes to.
        _ = fcntl(descriptor, F_SETFL, 0)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count <= maximumSize {
            let count = Platform.retrying { readBytes(descriptor, &buffer, buffer.count) }
            guard count >= 0 else { throw .usage("cannot read the broker file \(shown): \(Platform.message(errno))") }
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
        }
        throw .usage("the broker file \(shown) is too large to be one")
    }

    private static func firstLine(_ bytes: [UInt8], _ shown: String) throws(CommandFailure) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .usage("the broker file \(shown) is not UTF-8 text")
        }
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            guard words.count == 1 else { throw .usage("the broker file \(shown) has a space in its URI") }
            return String(first)
        }
        throw .usage("the broker file \(shown) holds no URI")
    }

    private static func refused(_ message: String) -> CommandFailure {
        CommandFailure(status: ExitStatus.noPermission, message: message)
    }
}

/// `read(2)`; inside the type its own `read` would hide it.
private func readBytes(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, buffer, count)
}
