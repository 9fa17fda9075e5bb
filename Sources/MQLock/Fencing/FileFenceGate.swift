/// A fence gate that many processes of one machine share, and that remembers across crashes and restarts.
///
/// For a resource on a local file system: files, a spool directory, a device. The file at its path holds the largest
/// token of up to 1024 names; use one gate per resource, since its writes run one after the other. Two more files are
/// beside it: `<path>.lock`, which is locked with flock(2) and never deleted, and for moments `<path>.new`. Only its
/// owner can open the lock file (mode 0600), because anyone who can open it can keep the gate closed. For a gate that
/// several users share, make it writable by their group.
///
/// A crash at any point leaves the old mark or the new one. A file that cannot be read, or is not exactly what this
/// type writes, is an error and stays as it is. So is a file that is gone although it had been written. To start over,
/// delete all three while no one uses them, and know that stale holders then pass.
///
/// **Blocking.** An admission waits for the write that is inside, and a new token costs two `fsync`s, milliseconds on
/// most disks. A few of them on the cooperative pool are fine; under load give the gate a thread or a queue of its own.
/// A process that is stopped while its write runs keeps the gate closed until it continues or dies: no other order of
/// check and write would keep its write out.
public struct FileFenceGate: FenceGate {
    private let path: String
    private let files: FenceFiles
    /// What this gate itself has written to the disk. A mark that is only in the file may have been renamed into place
    /// by a program that failed before the directory was synced, and would be gone after a power cut.
    private let durable = Locked<[LockName: FencingToken]>([:])

    /// Names a gate; no I/O happens before the first use.
    /// - Parameter path: the file of marks, in a directory that exists, on a local file system; no symbolic link.
    public init(path: String) {
        self.init(path: path, before: { (_) throws(LockError) in })
    }

    /// - Parameter before: called before each step on the file system; throws in its place.
    package init(path: String, before: @escaping @Sendable (FenceFileStep) throws(LockError) -> Void) {
        self.path = path
        files = FenceFiles(path: path, before: before)
    }

    /// See ``FenceGate/withAdmission(_:for:_:)``.
    ///
    /// - Throws: ``LockError`` also with code ``LockError/Code/storageFailed`` when the files cannot be read, written
    ///   or trusted, and `limitExceeded` for one name too many; else what `write` throws.
    public func withAdmission<Result>(
        _ token: FencingToken, for name: LockName, _ write: () throws -> Result
    ) throws -> Result {
        let entry = try enter(token, for: name)
        defer { entry.close() }
        return try write()
    }

    /// Admits the token and leaves the gate closed to all others until the entry is closed.
    /// - Parameter marked: called with the names that have a mark before anything is written; throws to refuse.
    package func enter(
        _ token: FencingToken, for name: LockName, marked: ([LockName]) throws(LockError) -> Void = { _ in }
    ) throws(LockError) -> FenceEntry {
        let lock = try files.lock(exclusively: true)
        do throws(LockError) {
            try remember(token, for: name, lock, marked)
        } catch {
            lock.close()
            throw error
        }
        return FenceEntry(lock: lock)
    }

    private func remember(
        _ token: FencingToken, for name: LockName, _ lock: FenceFiles.Lock,
        _ marked: ([LockName]) throws(LockError) -> Void
    ) throws(LockError) {
        var table = try files.read(lock)
        try marked(Array(table.marks.keys))
        if let highest = table.marks[name], token < highest {
            throw .staleToken(FenceRefusal(presented: token, highest: highest), name: name)
        }
        guard table.marks[name] != token || durable.withLock({ $0[name] }) != token else { return }
        guard table.set(token, for: name) else {
            throw LockError(
                .limitExceeded,
                """
                the fence gate \(path.escapedForDisplay) holds \(FenceTable.maximumNames) names already; use one gate \
                per resource
                """)
        }
        try files.replace(with: table, lock)
        durable.withLock { $0[name] = token }
    }

    /// See ``FenceGate/highest(for:)``; waits like an admission for the write that is inside.
    public func highest(for name: LockName) throws(LockError) -> FencingToken? {
        let lock = try files.lock(exclusively: false)
        defer { lock.close() }
        return try files.read(lock).marks[name]
    }

    /// The largest token of every name; waits as ``highest(for:)`` does.
    package func marks() throws(LockError) -> [LockName: FencingToken] {
        let lock = try files.lock(exclusively: false)
        defer { lock.close() }
        return try files.read(lock).marks
    }
}

/// The inside of a gate: closed to all others until this is closed.
package struct FenceEntry: Sendable {
    let lock: FenceFiles.Lock

    /// What keeps the gate closed. A program that is executed with it open stays inside until the program, and every
    /// process that inherited it from the program, has ended.
    package var descriptor: Int32 { lock.file.descriptor }

    /// Opens the gate.
    package func close() { lock.close() }
}
