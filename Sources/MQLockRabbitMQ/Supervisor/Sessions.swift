import MQLock
import Synchronization

/// The sessions of one provider: one, and further ones when the broker allows no more channels on its connection.
///
/// Each session has a supervisor, connections and a proof of life of its own, so the loss of one ends its own locks
/// only. To the broker each is a contender of its own, as if of another process: exclusion and the order of the tokens
/// do not depend on which session serves a name. A name goes to the session that served it last, as long as that one
/// remembers it and has a channel; other names go to the first session that has one. A session that is open stays so
/// until the shutdown.
final class Sessions: Sendable {
    fileprivate struct State {
        var further: [Supervisor] = []
        /// The names that further sessions serve. All others are the first session's.
        var homes: [LockName: Home] = [:]
        /// The session of each lease that is out, except the first session's. By lease: a holder that has not noticed a loss
        /// may still have one while its name is in another session.
        var leases: [ObjectIdentifier: Int] = [:]
        /// The number of homes without a contender, a holder or a release under way.
        var quiet = 0
        var lastUse: UInt64 = 0
        /// Sessions without a free channel, until one of their contenders or holders has left.
        var full: Set<Int> = []
        /// How many contenders and holders have left each session, so that none that leaves meanwhile is missed.
        var departures: [Int: Int] = [:]
        var isShutDown = false
    }

    fileprivate struct Home {
        /// Counted from 1.
        let session: Int
        var uses = 0
        var lastUse: UInt64 = 0
    }

    /// A session that serves a contender.
    fileprivate struct Place {
        let number: Int
        let supervisor: Supervisor
        /// Of the session, when the contender entered; nil before it counted them.
        var departures: Int?
    }

    let first: Supervisor
    let settings: SessionSettings
    private let memory = ProviderMemory()
    private let relay: ObserverRelay
    private let state = Locked(State())
    /// Whether the first session has ever been full. Until then it serves every name, and `state` is of no interest.
    private let isSpread = Atomic(false)

    /// The broker's memory ends sooner.
    static let maximum = 64
    fileprivate static let maximumQuiet = 1024

    init(settings: SessionSettings, relay: ObserverRelay) throws(LockError) {
        self.settings = settings
        self.relay = relay
        first = try Supervisor(settings: settings, relay: relay, memory: memory)
    }

    // MARK: Contenders

    /// Waits for the lock; nil for a try when another contender holds it.
    func acquire(
        _ name: LockName, waits: Bool, deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> LeaseRecord? {
        var refused: Set<Int> = []
        while true {
            let place = try enter(name, except: refused)
            do throws(LockError) {
                return try await acquire(name, waits, deadline, at: place, mayMove: true)
            } catch {
                if error.isOutOfChannels {
                    refused.insert(place.number)
                    isSpread.store(true, ordering: .relaxed)
                    state.withLock { $0.noteFull(place) }
                } else if error.code == .limitExceeded, place.number > 0 {
                    return try await acquire(name, waits, deadline, orThrow: error)
                } else {
                    throw error
                }
            }
        }
    }

    private func acquire(
        _ name: LockName, _ waits: Bool, _ deadline: ContinuousClock.Instant?, at place: Place, mayMove: Bool
    ) async throws(LockError) -> LeaseRecord? {
        let record: LeaseRecord?
        do throws(LockError) {
            record = try await place.supervisor.acquire(name, waits: waits, deadline: deadline, mayMove: mayMove)
        } catch {
            leave(name, place.number, freesChannel: !error.isOutOfChannels)
            throw error
        }
        if let record {
            if place.number > 0 { state.withLock { $0.leases[ObjectIdentifier(record)] = place.number } }
        } else {
            leave(name, place.number)
        }
        return record
    }

    /// The broker admits no further session. The first may be about to have a free channel.
    private func acquire(
        _ name: LockName, _ waits: Bool, _ deadline: ContinuousClock.Instant?, orThrow refusal: LockError
    ) async throws(LockError) -> LeaseRecord? {
        do throws(LockError) {
            return try await acquire(
                name, waits, deadline, at: Place(number: 0, supervisor: first), mayMove: false)
        } catch {
            throw error.isOutOfChannels ? refusal : error
        }
    }

    /// A lock that is kept here without a holder.
    func takeKept(_ name: LockName) -> LeaseRecord? {
        if let record = first.tenures[name]?.take() { return record }
        guard isSpread.load(ordering: .relaxed) else { return nil }
        return state.withLock { state in
            for (index, session) in state.further.enumerated() {
                guard let record = session.tenures[name]?.take() else { continue }
                state.enter(name, at: index + 1)
                state.leases[ObjectIdentifier(record)] = index + 1
                return record
            }
            return nil
        }
    }

    private func enter(_ name: LockName, except refused: Set<Int>) throws(LockError) -> Place {
        guard isSpread.load(ordering: .relaxed) else { return Place(number: 0, supervisor: first) }
        let result: Result<Place, LockError> = state.withLock { state in
            Result { () throws(LockError) in try place(for: name, except: refused, &state) }
        }
        return try result.get()
    }

    private func place(
        for name: LockName, except refused: Set<Int>, _ state: inout State
    ) throws(LockError) -> Place {
        if let home = state.homes[name], !refused.contains(home.session) {
            return enter(name, at: home.session, &state)
        }
        let number = (0...state.further.count).first { !state.full.contains($0) && !refused.contains($0) }
        guard let number else {
            guard !state.isShutDown else { throw .shutDown }
            guard state.further.count + 1 < Self.maximum else {
                throw LockError(
                    .limitExceeded,
                    """
                    each of the \(Self.maximum) sessions of this program is full: every lock that is held or waited for \
                    needs a channel; raise channel_max on the broker and in the URI, or use fewer names (StripedLocks)
                    """)
            }
            let supervisor = try Supervisor(
                settings: settings, relay: relay.ofFurtherSession(), memory: memory, isFurther: true)
            state.further.append(supervisor)
            return enter(name, at: state.further.count, &state)
        }
        return enter(name, at: number, &state)
    }

    private func enter(_ name: LockName, at number: Int, _ state: inout State) -> Place {
        if number > 0 { state.enter(name, at: number) }
        return Place(
            number: number, supervisor: number > 0 ? state.further[number - 1] : first,
            departures: state.departures[number] ?? 0)
    }

    /// A contender or holder of this name is gone from the session.
    private func leave(_ name: LockName, _ number: Int, freesChannel: Bool = true) {
        guard isSpread.load(ordering: .relaxed) else { return }
        state.withLock { $0.leave(name, from: number, freesChannel: freesChannel) }
    }

    // MARK: Holders

    /// Releases a grant; does nothing when the lock is no longer held here.
    func release(_ record: LeaseRecord, _ ending: HoldEnding) {
        let place = place(of: record)
        release(record, ending, over: place.supervisor)
        guard isSpread.load(ordering: .relaxed) else { return }
        state.withLock { state in
            state.leases[ObjectIdentifier(record)] = nil
            state.leave(record.name, from: place.number, freesChannel: true)
        }
    }

    private func release(_ record: LeaseRecord, _ ending: HoldEnding, over session: Supervisor) {
        if case .lost = ending { return session.release(record) }
        let tenure = session.tenures[record.name]
        switch tenure?.release(record) {
        case .keep(nil): break
        case .keep(let end?): if let tenure { session.keep(tenure, until: end) }
        case .goBack, nil: session.release(record)
        }
    }

    /// The session that has granted this lease.
    func session(of record: LeaseRecord) -> Supervisor { place(of: record).supervisor }

    private func place(of record: LeaseRecord) -> Place {
        let first = Place(number: 0, supervisor: first)
        guard isSpread.load(ordering: .relaxed) else { return first }
        return state.withLock { state in
            guard let number = state.leases[ObjectIdentifier(record)] else { return first }
            return Place(number: number, supervisor: state.further[number - 1])
        }
    }

    // MARK: Life

    private var all: [Supervisor] { [first] + state.withLock { $0.further } }

    /// Keeps the first session until the shutdown. Returns the reason if the broker refuses the first login.
    func serve() async -> LockError? {
        if let refusal = await first.serve() { return refusal }
        for session in all { await session.stopped() }
        return nil
    }

    /// Shuts all sessions down, each within this time, at once.
    func shutdown(within limit: Duration) async {
        state.withLock { $0.isShutDown = true }
        await withTaskGroup { group in
            for session in all { group.addTask { await session.shutdown(within: limit) } }
        }
    }

    /// By the local clock. Further sessions count as long as they are in use.
    var isConnected: Bool { down == nil }

    /// Nil while all sessions are up that are in use.
    var lastError: LockError? { down?.lastError }

    private var down: SessionHealth? {
        guard first.health.isConnected else { return first.health }
        guard isSpread.load(ordering: .relaxed) else { return nil }
        return state.withLock { state in
            let inUse = Set(state.homes.values.lazy.filter { $0.uses > 0 }.map(\.session))
            return state.further.enumerated().first { index, session in
                inUse.contains(index + 1) && session.health.isDown
            }?.element.health
        }
    }
}

extension Sessions.State {
    fileprivate mutating func enter(_ name: LockName, at number: Int) {
        var home = homes[name] ?? Sessions.Home(session: number)
        if homes[name] != nil, home.uses == 0 { quiet -= 1 }
        if home.session != number { home = Sessions.Home(session: number) }
        home.uses += 1
        homes[name] = home
    }

    /// The session had no channel for a contender.
    fileprivate mutating func noteFull(_ place: Sessions.Place) {
        if departures[place.number, default: 0] == place.departures { full.insert(place.number) }
    }

    fileprivate mutating func leave(_ name: LockName, from number: Int, freesChannel: Bool) {
        if freesChannel {
            full.remove(number)
            departures[number, default: 0] &+= 1
        }
        guard var home = homes[name], home.session == number, home.uses > 0 else { return }
        lastUse += 1
        home.uses -= 1
        home.lastUse = lastUse
        homes[name] = home
        guard home.uses == 0 else { return }
        quiet += 1
        if quiet > Sessions.maximumQuiet { forget() }
    }

    /// Forgets the half of the quiet names that was used last the longest ago.
    private mutating func forget() {
        let names = homes.filter { $0.value.uses == 0 }.sorted { $0.value.lastUse < $1.value.lastUse }
        for (name, _) in names.prefix(Sessions.maximumQuiet / 2) { homes[name] = nil }
        quiet = names.count - min(names.count, Sessions.maximumQuiet / 2)
    }
}

extension LockError {
    /// Whether only the session's connection was full: another session could serve the contender.
    fileprivate var isOutOfChannels: Bool { (underlying as? ChannelFault) == .outOfChannels }
}
