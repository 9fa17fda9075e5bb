import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A file that holds the broker's URI and is nobody else's to read.
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
        // Asked of the descriptor, not of the path: nobody can swap the file in between.
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .usage("cannot read the broker file \(shown): \(Platform.message(errno))")
        }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw .usage("the broker file \(shown) is a folder") }
        guard status.st_uid == geteuid() else {
            throw refused("the broker file \(shown) belongs to another user; it has to be ours, with mode 0600")
        }
        guard status.st_mode & 0o077 == 0 else {
            let mode = String(status.st_mode & 0o777, radix: 8)
            throw refused(
                "the broker file \(shown) can be used by others (mode 0\(mode)): chmod 600 it, and change the password")
        }
        return try firstLine(contents(descriptor, shown), shown)
    }

    private static func contents(_ descriptor: Int32, _ shown: String) throws(CommandFailure) -> [UInt8] {
        // A pipe, as of <(command), is welcome; non-blocking was for the open of a FIFO that nobody writes to.
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

/// `read(2)`, which inside the type would be taken for its own `read`.
private func readBytes(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, buffer, count)
}
