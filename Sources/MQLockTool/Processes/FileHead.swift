#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The first bytes of an executable file: as many as the kernel looks at.
struct FileHead {
    private let bytes: [UInt8]

    /// Nil for a file that cannot be read; it may still be executable.
    init?(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = Platform.retrying { read(descriptor, &buffer, buffer.count) }
        guard count >= 0 else { return nil }
        bytes = Array(buffer.prefix(count))
    }

    /// How shells recognize a script.
    var isText: Bool { !bytes.prefix { $0 != UInt8(ascii: "\n") }.contains(0) }

    /// The file that a script's first line names.
    var interpreter: String? {
        guard bytes.starts(with: "#!".utf8) else { return nil }
        let blanks = " \t".utf8
        let name = bytes.dropFirst(2).drop { blanks.contains($0) }
            .prefix { !blanks.contains($0) && $0 != UInt8(ascii: "\n") && $0 != 0 }
        return name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
    }
}
