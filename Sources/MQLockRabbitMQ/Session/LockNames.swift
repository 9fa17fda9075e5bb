import MQLock

/// The names that one session contends for, on its loop's thread; the same for every mutex.
final class LockNames: @unchecked Sendable {
    let core: SessionCore
    /// Whom a lease is given back to.
    private(set) weak var session: Session?
    /// Publishes over the publish connection; tells, on this thread, what became of the message.
    let publish: @Sendable (_ queue: String, any LockMessage, @escaping @Sendable (Publisher.Outcome) -> Void) -> Void
    /// Brings the publish connection up, so that the next publish does not wait for it.
    let prepareToPublish: @Sendable () -> Void
    /// What keeps publishes from arriving, if anything does: for the message of a wait that times out.
    let obstacle: () -> String?
    /// The largest fencing token seen of each name, over all sessions of the provider.
    let largest: LargestTokens
    let relay: ObserverRelay
    /// Who here holds or waits, for those who ask.
    let presence: PresenceRegistry
    private(set) var names: [LockName: NameEntry] = [:]
    private var attempts: Attempt = 0
    /// Channels opened for verifications and free again.
    private var spareChannels: [UInt16] = []
    private var contacting: Set<LockName> = []
    private var parked: [NameEntry] = []
    private var isDraining = false
    var onDrained: (() -> Void)?

    init(
        core: SessionCore, session: Session, largest: LargestTokens, relay: ObserverRelay,
        publish: @escaping @Sendable (String, any LockMessage, @escaping @Sendable (Publisher.Outcome) -> Void) -> Void,
        prepareToPublish: @escaping @Sendable () -> Void, obstacle: @escaping () -> String?, presence: PresenceRegistry
    ) {
        self.core = core
        self.session = session
        self.largest = largest
        self.relay = relay
        self.publish = publish
        self.prepareToPublish = prepareToPublish
        self.obstacle = obstacle
        self.presence = presence
        presence.names = self
    }

    /// How many quiet names keep their channel, so that the next acquire costs one round trip.
    private static let maximumQuiet = 256

    func contend(
        _ name: LockName, waits: Bool, deadline: ContinuousClock.Instant?,
        answer: @escaping (NameEntry.Answer) -> Void
    ) -> Attempt {
        attempts += 1
        let attempt = attempts
        if let end = core.end {
            answer(.sessionEnded(end))
        } else {
            do throws(LockError) {
                guard !isDraining else { throw .shutDown }
                try core.behaviour.check()
                try entry(name).contend(attempt, waits: waits, deadline: deadline, answer: answer)
            } catch {
                answer(.failed(error))
            }
        }
        return attempt
    }

    func abandon(_ name: LockName, _ attempt: Attempt, _ answer: NameEntry.Answer) {
        names[name]?.abandon(attempt, answer)
    }

    func release(_ record: LeaseRecord) { names[record.name]?.release(record) }

    private func entry(_ name: LockName) throws(LockError) -> NameEntry {
        if let entry = names[name] { return entry }
        if names.count >= Self.maximumQuiet { evict() }
        let objects = try ObjectNames(name, vhost: core.settings.endpoint.vhost)
        let entry = NameEntry(name, objects, in: self)
        names[name] = entry
        return entry
    }

    /// Whether a channel will be free soon: gives up those of quiet names.
    func makeRoom() -> Bool {
        evict()
        return core.isClosingChannels
    }

    /// Forgets some quiet names, with their channels.
    private func evict() {
        let quiet = names.values.filter(\.isQuiet).prefix(Self.maximumQuiet / 2)
        for entry in quiet {
            entry.close()
            names[entry.name] = nil
        }
    }

    // MARK: First contacts

    /// How many names are prepared at once. The broker makes quorum queues one after the other; with a thousand asked
    /// for together the last answers would come after their deadline.
    private static let maximumContacts = 64

    /// Whether a name may make first contact now; else its turn comes.
    func admit(_ entry: NameEntry) -> Bool {
        guard contacting.count < Self.maximumContacts else {
            parked.append(entry)
            return false
        }
        contacting.insert(entry.name)
        return true
    }

    func contactEnded(_ entry: NameEntry) {
        guard contacting.remove(entry.name) != nil else { return }
        while !parked.isEmpty, contacting.count < Self.maximumContacts {
            let next = parked.removeFirst()
            contacting.insert(next.name)
            if !next.unpark() { contacting.remove(next.name) }
        }
    }

    // MARK: Channels for verifications

    func verificationChannel(for handler: any ChannelHandler) -> UInt16? {
        if let channel = spareChannels.popLast() {
            core.assign(channel, to: handler)
            return channel
        }
        return core.openChannel(for: handler)
    }

    func recycle(_ channel: UInt16) {
        guard spareChannels.count < 8 else { return core.closeChannel(channel) }
        core.assign(channel, to: Idle.shared)
        spareChannels.append(channel)
    }

    /// Nobody's channel: whatever comes late is ignored.
    private final class Idle: ChannelHandler {
        nonisolated(unsafe) static let shared = Idle()
        func received(_ inbound: Inbound) {}
    }

    // MARK: The session's end

    func setSuspect(_ suspect: Bool) {
        for entry in names.values { entry.setSuspect(suspect) }
    }

    /// All leases are lost; before any waiter is answered, so that no next step comes before a holder has been told.
    func lose(_ reason: LossReason) {
        for entry in names.values { entry.lose(reason) }
    }

    func sessionEnded(_ end: SessionEnd) {
        let entries = Array(names.values)
        names = [:]
        // The session may end in the middle of a driver's work, whose write has failed: the driver goes on when this
        // returns, and finds its entry, us and the core by unowned references. The timer is for later than that.
        core.loop.schedule(at: .now) { withExtendedLifetime((self, entries)) {} }
        for entry in entries { entry.sessionEnded(end) }
        drainedIfSo()
    }

    /// Refuses new contenders, turns the waiting ones away, and calls back when nothing is held.
    func drain(_ drained: @escaping () -> Void) {
        isDraining = true
        onDrained = drained
        for entry in names.values { entry.turnAway() }
        drainedIfSo()
    }

    func drainedIfSo() {
        guard isDraining, let onDrained, !names.values.contains(where: \.isHeld) else { return }
        self.onDrained = nil
        onDrained()
    }
}

extension LockError {
    static var shutDown: LockError { LockError(.shutDown, "this lock provider was shut down") }
}
