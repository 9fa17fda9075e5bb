#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The lines that come from a descriptor, without their ends; each wait for one blocks the thread. Nothing of stdio is
/// used, and that is the point:
///
/// `exit` takes the lock of every `FILE`, and `readLine` holds that of stdin for as long as it waits. From glibc 2.41 on
/// the process would not end while a thread of it waits for a line.
///
/// One reader for a descriptor, kept: it may have read more than the lines that it has given.
package struct LineReader: Sequence, IteratorProtocol {
    private static let chunk = 16384

    private let descriptor: Int32
    private var buffer: [UInt8] = []
    /// Where the next line begins.
    private var start = 0
    /// No line ends before this.
    private var searched = 0

    /// - Parameter descriptor: standard input when left out. Stays the caller's to close, and need not block.
    package init(_ descriptor: Int32 = 0) { self.descriptor = descriptor }

    /// The next line; what comes after the last line end is one, too, unless it is empty. Nil at the end of the input, and
    /// when it cannot be read.
    package mutating func next() -> String? {
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { (start, searched) = (end + 1, end + 1) }
                return String(decoding: buffer[start..<end], as: UTF8.self)
            }
            buffer.removeSubrange(..<start)
            (start, searched) = (0, buffer.count)
            guard fill() else { break }
        }
        guard !buffer.isEmpty else { return nil }
        defer { (buffer, searched) = ([], 0) }
        return String(decoding: buffer, as: UTF8.self)
    }

    /// Waits for more; false at the end.
    private mutating func fill() -> Bool {
        while true {
            let count = withUnsafeTemporaryAllocation(byteCount: Self.chunk, alignment: 1) { bytes in
                let count = read(descriptor, bytes.baseAddress, bytes.count)
                if count > 0 { buffer += bytes.prefix(count) }
                return count
            }
            if count >= 0 { return count > 0 }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                _ = poll(&watched, 1, -1)
            default: return false
            }
        }
    }
}
