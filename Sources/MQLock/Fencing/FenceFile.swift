#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A file descriptor whose every failure names the call that failed and the file.
struct FenceFile {
    let descriptor: Int32
    private let path: String

    /// Opens a regular file, or a directory if the flags say so; follows no symbolic link.
    /// - Parameter mode: of a file that is created.
    init(_ path: String, _ flags: Int32, mode: mode_t = 0o644) throws(LockError) {
        // A directory may be reached by a link; a file may not, because `rename` would replace the link.
        let following = flags & O_DIRECTORY != 0 ? 0 : O_NOFOLLOW
        // Without O_NONBLOCK opening a named pipe would wait for its other end.
        descriptor = retrying { open(path, flags | following | O_CLOEXEC | O_NONBLOCK, mode) }
        self.path = path
        guard descriptor >= 0 else { throw .storage("open", path) }
        guard flags & O_DIRECTORY == 0 else { return }
        do throws(LockError) {
            guard try status().st_mode & S_IFMT == S_IFREG else {
                throw LockError(.storageFailed, "\(path.escapedForDisplay) is no regular file")
            }
        } catch {
            close()
            throw error
        }
    }

    /// Opens a file, to read it unless the flags say more; nil when there is none.
    init?(existing path: String, _ flags: Int32 = O_RDONLY) throws(LockError) {
        do throws(LockError) {
            try self.init(path, flags)
        } catch {
            if (error.underlying as? SystemCallError)?.code == ENOENT { return nil }
            throw error
        }
    }

    func close() {
        #if canImport(Glibc)
        _ = Glibc.close(descriptor)
        #elseif canImport(Musl)
        _ = Musl.close(descriptor)
        #else
        _ = Darwin.close(descriptor)
        #endif
    }

    /// Removes from all other users any access that would only let them lock the file: read access is enough for that.
    /// A user that may write it is meant to enter.
    func closeToReaders() throws(LockError) {
        let status = try status()
        guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0, status.st_mode & 0o077 != 0 else { return }
        guard fchmod(descriptor, 0o600) == 0 else { throw .storage("fchmod", path) }
    }

    func lock(_ operation: Int32) throws(LockError) {
        guard retrying({ flock(descriptor, operation) }) == 0 else { throw .storage("flock", path) }
    }

    func sync() throws(LockError) {
        #if canImport(Darwin)
        // fsync on Darwin stops at the drive's cache. If the stronger call is unknown, only fsync is left.
        if fcntl(descriptor, F_FULLFSYNC) == 0 { return }
        #endif
        guard retrying({ fsync(descriptor) }) == 0 else { throw .storage("fsync", path) }
    }

    var size: Int { get throws(LockError) { Int(try status().st_size) } }

    /// Whether the path still leads to this file.
    var isStillAtItsPath: Bool {
        var there = stat()
        guard lstat(path, &there) == 0, let here = try? status() else { return false }
        return there.st_dev == here.st_dev && there.st_ino == here.st_ino
    }

    /// The whole file; nil when it is longer than the limit.
    func contents(upTo limit: Int) throws(LockError) -> [UInt8]? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while bytes.count <= limit {
            let count = retrying { read(descriptor, &chunk, chunk.count) }
            guard count >= 0 else { throw .storage("read", path) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
        return nil
    }

    /// Whether these are the file's first bytes.
    func begins(with bytes: [UInt8]) throws(LockError) -> Bool {
        var found = [UInt8](repeating: 0, count: bytes.count)
        guard retrying({ pread(descriptor, &found, found.count, 0) }) >= 0 else { throw .storage("read", path) }
        return found == bytes
    }

    func write(_ bytes: [UInt8]) throws(LockError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { bytes in
                retrying {
                    #if canImport(Glibc)
                    Glibc.write(descriptor, bytes.baseAddress, bytes.count)
                    #elseif canImport(Musl)
                    Musl.write(descriptor, bytes.baseAddress, bytes.count)
                    #else
                    Darwin.write(descriptor, bytes.baseAddress, bytes.count)
                    #endif
                }
            }
            guard count > 0 else { throw .storage("write", path) }
            rest = rest.dropFirst(count)
        }
    }

    private func status() throws(LockError) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .storage("fstat", path) }
        return status
    }
}

/// Calls again as long as a signal interrupted the call.
private func retrying<Result: BinaryInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}

/// What a system call reported.
package struct SystemCallError: Error, CustomStringConvertible {
    package let code: Int32
    package var description: String { String(cString: strerror(code)) }
}

extension LockError {
    /// The error of the system call that failed just now.
    static func storage(_ call: String, _ path: String) -> LockError {
        let cause = SystemCallError(code: errno)
        let advice =
            switch cause.code {
            case ELOOP: "it is a symbolic link; give the path of the file itself"
            case ENOENT: "create its directory first"
            case EACCES, EPERM, EROFS: "the gate has to create and replace files in that directory"
            case ENOSPC, EDQUOT: "free space; what was remembered before still stands"
            default: "what was remembered before still stands"
            }
        return LockError(.storageFailed, "\(call) of \(path.escapedForDisplay) failed: \(advice)", underlying: cause)
    }
}
