import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The exit statuses of `mqlock`. Every other status is that of the command it ran.
enum ExitStatus {
    static let success: Int32 = 0
    /// The lock was not acquired (`-n`, `-w`), unless `-E` says otherwise.
    static let conflict: Int32 = 1
    static let usage: Int32 = 64
    /// A fencing token smaller than one seen before.
    static let stale: Int32 = 65
    /// No session with the broker ever came up, or the broker did not confirm what it was asked to keep.
    static let unavailable: Int32 = 69
    static let internalError: Int32 = 70
    /// Processes of the command could not be ended, and continue without the lock (EX_OSERR).
    static let survived: Int32 = 71
    /// A file of ours cannot be read, written or trusted.
    static let storage: Int32 = 74
    /// Credentials or permissions refused.
    static let noPermission: Int32 = 77
    /// An object of that name on the broker that we cannot share.
    static let incompatible: Int32 = 78
    static let lost: Int32 = 123
    static let cannotExecute: Int32 = 126
    static let notFound: Int32 = 127

    static func ended(bySignal signal: Int32) -> Int32 { 128 + signal }

    /// The status of a failed attempt to acquire the lock.
    /// - Parameters:
    ///   - conflict: the value of `-E`.
    ///   - signal: the signal that made us cancel the wait, if any.
    static func of(_ error: LockError, conflict: Int32 = conflict, cancelledBy signal: Int32? = nil) -> Int32 {
        switch error.code {
        case .timedOut: return conflict
        case .cancelled: return signal.map(ended(bySignal:)) ?? internalError
        case .lost: return lost
        case .invalidName, .invalidConfiguration: return usage
        case .unreachable, .outcomeUnknown: return unavailable
        case .accessRefused: return noPermission
        case .incompatible: return incompatible
        case .staleToken: return stale
        case .storageFailed: return error.isForWantOfPermission ? noPermission : storage
        default: return internalError
        }
    }
}

extension LockError {
    fileprivate var isForWantOfPermission: Bool {
        (underlying as? SystemCallError).map { [EACCES, EPERM, EROFS].contains($0.code) } ?? false
    }
}
