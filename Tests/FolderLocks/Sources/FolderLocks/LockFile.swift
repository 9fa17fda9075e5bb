import Foundation
import MQLock

/// A file that is open and locked, with the fencing token of this hold.
struct LockFile: Sendable {
    let descriptor: Int32
    let token: FencingToken

    /// What every file of this kind begins with; behind it are twenty digits and a line feed.
    private static let kind = "mqlock-folder.v1 "
    private static let length = kind.utf8.count + 21

    /// Opens and locks the file, and counts its number up.
    /// - Parameter waits: whether to wait until it is free; blocks the thread.
    /// - Returns: nil when somebody else has it, and `waits` is false.
    /// - Throws: `incompatible` for another kind of file; `storageFailed`; `tokenRegression` when the numbers are used up.
    static func locked(_ path: String, waits: Bool) throws(LockError) -> LockFile? {
        while true {
            let descriptor = try Self.check(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600), "open", path)
            do throws(LockError) {
                guard try lock(descriptor, waits, path) else {
                    _ = Foundation.close(descriptor)
                    return nil
                }
                // Whoever waited for a file that was deleted meanwhile has a lock that nobody else can see.
                guard try isStillThere(descriptor, path) else {
                    _ = Foundation.close(descriptor)
                    continue
                }
                return LockFile(descriptor: descriptor, token: try counted(descriptor, path))
            } catch {
                _ = Foundation.close(descriptor)
                throw error
            }
        }
    }

    /// Frees the lock.
    func close() { _ = Foundation.close(descriptor) }

    private static func lock(_ descriptor: Int32, _ waits: Bool, _ path: String) throws(LockError) -> Bool {
        while flock(descriptor, waits ? LOCK_EX : LOCK_EX | LOCK_NB) != 0 {
            if errno == EWOULDBLOCK { return false }
            if errno != EINTR { throw failure("flock", path) }
        }
        return true
    }

    private static func isStillThere(_ descriptor: Int32, _ path: String) throws(LockError) -> Bool {
        var (mine, current) = (stat(), stat())
        _ = try check(fstat(descriptor, &mine), "fstat", path)
        return stat(path, &current) == 0 && mine.st_ino == current.st_ino && mine.st_dev == current.st_dev
    }

    /// The next number: that of the clock, and at least one above the last, so that a file that is made anew goes on above
    /// all that came before. On the disk before anybody sees it.
    private static func counted(_ descriptor: Int32, _ path: String) throws(LockError) -> FencingToken {
        var bytes = [UInt8](repeating: 0, count: length + 1)
        let count = try check(Int32(pread(descriptor, &bytes, bytes.count, 0)), "read", path)
        var last: UInt64 = 0
        if count > 0 {
            let text = String(decoding: bytes.prefix(Int(count)), as: UTF8.self)
            guard count == length, text.hasPrefix(kind), let number = UInt64(text.dropFirst(kind.count).dropLast())
            else {
                throw LockError(
                    .incompatible, "\(path) is no lock file of this kind; move it away, or use another name")
            }
            last = number
        }
        let clock = UInt64(max(0, Date().timeIntervalSince1970 * 1000)) << 21
        guard let token = FencingToken(rawValue: max(clock, last &+ 1)), token.rawValue > last else {
            throw LockError(.tokenRegression, "the number \(last) in \(path) is too large to be counted up")
        }
        let digits = String(token.rawValue)
        let text = kind + String(repeating: "0", count: 20 - digits.count) + digits + "\n"
        guard pwrite(descriptor, Array(text.utf8), length, 0) == length else { throw failure("write", path) }
        _ = try check(fsync(descriptor), "fsync", path)
        return token
    }

    private static func check(_ result: Int32, _ call: String, _ path: String) throws(LockError) -> Int32 {
        guard result >= 0 else { throw failure(call, path) }
        return result
    }

    private static func failure(_ call: String, _ path: String) -> LockError {
        LockError(.storageFailed, "\(call) of \(path) failed: \(String(cString: strerror(errno)))")
    }
}
