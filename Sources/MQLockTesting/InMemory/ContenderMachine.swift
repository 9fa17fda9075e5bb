import MQLock

/// One contender of a client: from the request for a lock to its end.
///
/// A pure value: events in, actions out; the caller performs them.
struct ContenderMachine: Sendable {
    enum State: Hashable, Sendable {
        /// Needs the lock, has no session. Goes on to `standing`, `ended`.
        case offline
        /// Stands in line at the broker, or is about to. Goes on to `held`, `withdrawing`, `offline`, `ended`.
        case standing
        /// Was granted the lock. Goes on to `returning`, `ended`.
        case held
        /// Its caller is gone; a grant may still be on its way. Goes on to `returning`, `ended`.
        case withdrawing
        /// Releases the lock, awaits the broker's answer. Goes on to `ended`.
        case returning
        case ended
    }

    enum Event: Sendable {
        case sessionUp
        case sessionDown(LossReason)
        case granted(FencingToken)
        case refused
        case incompatible(existing: String)
        case withdrawn
        case released
        case queueDeleted
        /// The caller is gone, or is about to be: it gets the error.
        case giveUp(LockError)
        case release
    }

    enum Action: Sendable {
        case join
        /// The caller gets the error at once; what may still arrive is put back.
        case withdraw(LockError)
        case release
        /// The caller has the lock.
        case grant(FencingToken)
        /// The caller of a single try: another contender has it.
        case refuse
        case fail(LockError)
        case lose(LossReason)
        /// The caller of a release: done, or nothing left to do.
        case returned
    }

    let name: LockName
    let once: Bool
    let mutation: Mutation
    private(set) var state = State.offline

    init(name: LockName, once: Bool, mutation: Mutation = []) {
        self.name = name
        self.once = once
        self.mutation = mutation
    }

    mutating func handle(_ event: Event) -> Action? {
        switch event {
        case .sessionUp:
            guard state == .offline else { return nil }
            return become(.standing, .join)
        case .sessionDown(let reason): return sessionDown(reason)
        case .granted(let token): return granted(token)
        case .refused:
            if mutation.contains(.polls), !once, state == .standing { return nil }
            return state == .standing ? become(.ended, .refuse) : withdrawn()
        case .incompatible(let existing):
            guard state == .standing else { return withdrawn() }
            return become(
                .ended,
                .fail(
                    LockError(
                        .incompatible,
                        """
                        the lock \(name) is of kind \(existing.escapedForDisplay) on the broker; use the same kind \
                        in all programs
                        """)))
        case .withdrawn: return withdrawn()
        case .released:
            return state == .returning ? become(.ended, .returned) : nil
        case .queueDeleted: return queueDeleted()
        case .giveUp(let error): return giveUp(error)
        case .release:
            return state == .held ? become(.returning, .release) : .returned
        }
    }

    private mutating func granted(_ token: FencingToken) -> Action? {
        switch state {
        case .standing: return become(.held, .grant(token))
        case .withdrawing where mutation.contains(.lateGrantNotPutBack): return nil
        // The put-back: no one is here to hold it.
        case .withdrawing: return become(.returning, .release)
        // A duplicate of the grant that is held or being released.
        case .held, .returning, .offline, .ended: return nil
        }
    }

    private mutating func sessionDown(_ reason: LossReason) -> Action? {
        switch state {
        case .offline, .standing:
            // One try promises an answer, not patience.
            guard !once else {
                let message = "no answer about the lock \(name): \(reason); try again when the broker is reachable"
                return become(.ended, .fail(LockError(.unreachable, message)))
            }
            return become(mutation.contains(.waiterForgottenOnReconnect) && state == .standing ? .standing : .offline)
        case .held: return become(.ended, .lose(reason))
        // What the session had at the broker ends with it.
        case .withdrawing: return become(.ended)
        case .returning: return become(.ended, .returned)
        case .ended: return nil
        }
    }

    private mutating func queueDeleted() -> Action? {
        switch state {
        // Asking again creates the queue again.
        case .standing: return .join
        case .held: return become(.ended, .lose(LossReason(.queueDeleted)))
        case .withdrawing: return become(.ended)
        case .returning: return become(.ended, .returned)
        case .offline, .ended: return nil
        }
    }

    private mutating func giveUp(_ error: LockError) -> Action? {
        switch state {
        case .offline: return become(.ended, .fail(error))
        case .standing: return become(.withdrawing, .withdraw(error))
        // The grant came first: its caller finds out and releases.
        case .held, .withdrawing, .returning, .ended: return nil
        }
    }

    private mutating func withdrawn() -> Action? {
        state == .withdrawing ? become(.ended) : nil
    }

    private mutating func become(_ next: State, _ action: Action? = nil) -> Action? {
        state = next
        return action
    }
}
