#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What a file fence gate does to the file system, in this order; tests fail it before each.
package enum FenceFileStep: CaseIterable, Sendable {
    case openLock, lock, read, create, write, sync, rename, syncDirectory, note
}

/// The files of a ``FileFenceGate``.
struct FenceFiles: Sendable {
    let path: String
    let before: @Sendable (FenceFileStep) throws(LockError) -> Void

    private var lockPath: String { path + ".lock" }
    private var newPath: String { path + ".new" }

    private var directory: String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The lock file, open and locked. Closing it opens the gate; so does the death of the process.
    struct Lock {
        let file: FenceFile
        /// Whether a mark was written once: then its file has to be there.
        fileprivate let isNoted: Bool

        func close() { file.close() }
    }

    /// Waits until no one else has the lock file locked.
    func lock(exclusively: Bool) throws(LockError) -> Lock {
        // Before the lock file of an unnamed file appears somewhere.
        guard let last = path.utf8.last, last != UInt8(ascii: "/") else {
            throw LockError(
                .storageFailed, "a fence gate needs the path of a file, and '\(path.escapedForDisplay)' is none")
        }
        while true {
            try before(.openLock)
            // A descriptor of its own for each admission: flock belongs to the open file, so threads of one process
            // keep each other out as processes do.
            let file = try openLock()
            var keep = false
            defer { if !keep { file.close() } }
            try before(.lock)
            try file.lock(exclusively ? LOCK_EX : LOCK_SH)
            // The lock file may have been deleted while we waited; then the file that others open now is a different
            // one.
            guard file.isStillAtItsPath else { continue }
            let isNoted = try file.size > 0
            keep = true
            return Lock(file: file, isNoted: isNoted)
        }
    }

    /// The lock file, which is created when there is none. It is never created beside a file that belongs to someone
    /// else, where it could be mistaken for that file's lock.
    private func openLock() throws(LockError) -> FenceFile {
        if let file = try FenceFile(existing: lockPath, O_RDWR) {
            do throws(LockError) {
                try file.closeToReaders()
            } catch {
                file.close()
                throw error
            }
            return file
        }
        if let marks = try FenceFile(existing: path) {
            defer { marks.close() }
            guard try marks.begins(with: FenceTable.beginning) else {
                throw LockError(
                    .storageFailed,
                    """
                    \(path.escapedForDisplay) is no fence file; it was left as it is: give the gate a path where nothing \
                    else is
                    """)
            }
        }
        // Anyone who can open it can lock it, and so keep all others out.
        return try FenceFile(lockPath, O_RDWR | O_CREAT, mode: 0o600)
    }

    func read(_ lock: Lock) throws(LockError) -> FenceTable {
        try before(.read)
        guard let file = try FenceFile(existing: path) else {
            guard lock.isNoted else { return FenceTable() }
            throw LockError(
                .storageFailed,
                """
                the fence file \(path.escapedForDisplay) is gone although it was written before: restore it, or delete \
                \(lockPath.escapedForDisplay) too and accept that stale holders pass
                """)
        }
        defer { file.close() }
        guard let bytes = try file.contents(upTo: FenceTable.maximumBytes), let table = FenceTable(bytes) else {
            throw LockError(
                .storageFailed,
                """
                the fence file \(path.escapedForDisplay) is damaged or from another version; it was left as it is, and \
                nothing is admitted until it is restored or removed together with \(lockPath.escapedForDisplay)
                """)
        }
        return table
    }

    /// Replaces the old table with a new one; on an error before the last step the old one stands.
    func replace(with table: FenceTable, _ lock: Lock) throws(LockError) {
        do throws(LockError) {
            try before(.create)
            // Left over from a crash; only the holder of the lock creates one.
            unlink(newPath)
            let file = try FenceFile(newPath, O_WRONLY | O_CREAT | O_EXCL)
            defer { file.close() }
            try before(.write)
            try file.write(table.encoded)
            try before(.sync)
            try file.sync()
            try before(.rename)
            guard rename(newPath, path) == 0 else { throw .storage("rename", newPath) }
        } catch {
            unlink(newPath)
            throw error
        }
        try before(.syncDirectory)
        let directory = try FenceFile(self.directory, O_RDONLY | O_DIRECTORY)
        defer { directory.close() }
        try directory.sync()
        try before(.note)
        if !lock.isNoted { try lock.file.write(Array("mqlock.v1 fence lock\n".utf8)) }
    }
}
