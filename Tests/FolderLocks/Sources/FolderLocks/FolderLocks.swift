import Foundation
public import MQLock

/// Locks among the processes of one machine: one file of a folder for each name, locked by `flock`.
///
/// The example of the article *Writing an adapter*. The kernel is the broker here: it knows who holds a file as long as the
/// file is open, also when the process is stopped, and frees it when the process ends. So the proof of life has no end of
/// its own. Whoever deletes a file of the folder breaks its lock, and nobody is notified.
public final class FolderLocks: LockProvider {
    /// The kernel serves those who wait in the order in which they came, but does not promise it.
    public let capabilities = LockCapabilities(mutex: "folder", firstComeFirstServed: false)

    let contender: FolderContender
    private let front: LockFront

    /// Locks in a folder that exists, on a file system of this machine.
    public init(
        _ folder: URL, owner: String = ProcessInfo.processInfo.processName, observer: (any LockObserver)? = nil,
        maximumWaiters: Int = 10_000
    ) {
        let relay = ObserverRelay(observer)
        contender = FolderContender(folder, owner: owner, relay: relay)
        front = LockFront(contender: contender, owner: owner, relay: relay, maximumWaiters: maximumWaiters)
    }

    /// Waits for the lock and takes it.
    /// - Throws: `LockError`: `timedOut`, `cancelled`, `limitExceeded`, `incompatible`, `storageFailed`, `shutDown`.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await front.acquire(name, within: limit)
    }

    /// Takes the lock if it is free.
    /// - Throws: `LockError` as ``acquire(_:within:)``.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        try await front.tryAcquire(name)
    }

    /// Turns waiting contenders away, and closes all files: what is still held is lost with the reason `shutdown`.
    public func shutdown() { contender.shutdown() }
}
