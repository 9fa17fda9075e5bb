import Foundation

/// The Unix socket `control` in the current folder: lines in, a line out for each.
struct ControlSocket {
    private let listener: Int32

    init() throws(Failure) {
        unlink(Self.path)
        listener = try Self.open { bind($0, $1, $2) }
        guard listen(listener, 8) == 0 else { throw Failure("cannot listen: \(systemError())") }
    }

    /// Answers each line, one client at a time; never returns.
    func serve(_ answer: (String) -> String) -> Never {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { continue }
            let stream = FileHandle(fileDescriptor: client, closeOnDealloc: true)
            var rest = Data()
            while true {
                let chunk = stream.availableData
                guard !chunk.isEmpty else { break }
                rest += chunk
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = String(decoding: rest[..<end], as: UTF8.self)
                    rest = rest[rest.index(after: end)...]
                    try? stream.write(contentsOf: Data((answer(line) + "\n").utf8))
                }
            }
        }
    }

    /// Sends one line; throws unless the answer is `ok`.
    static func send(_ line: String) throws(Failure) {
        let stream = FileHandle(fileDescriptor: try open { connect($0, $1, $2) }, closeOnDealloc: true)
        do {
            try stream.write(contentsOf: Data((line + "\n").utf8))
        } catch {
            throw Failure("cannot write to the control socket: \(error)")
        }
        let answer = String(decoding: stream.availableData, as: UTF8.self).trimmingCharacters(in: .newlines)
        guard answer == "ok" else { throw Failure(answer.isEmpty ? "no answer" : answer) }
    }

    private static let path = "control"

    private static func open(
        _ use: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(Failure) -> Int32 {
        #if canImport(Glibc)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #else
        let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                use(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else { throw Failure("the control socket: \(systemError())") }
        return descriptor
    }
}
