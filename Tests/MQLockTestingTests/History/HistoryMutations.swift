import MQLockTesting

/// Small changes to a good history, each of which makes it bad.
enum HistoryMutation: String, CaseIterable, Sendable {
    case grantMovedIntoHold, endMovedPastNextGrant, endDropped, grantDropped, tokensSwapped, tokenRepeated
    case refusalTurned, writeMovedBack, grantDelayed, deathMovedBack

    /// The history after one such change at a place that the generator picks; nil when it offers none.
    func apply(to good: [History.Event], using random: inout SeededGenerator) -> [History.Event]? {
        let events = good.sorted { $0.at < $1.at }
        let changed = events.indices.compactMap { index in change(events, index).map { (index, $0) } }
        return changed.randomElement(using: &random)?.1
    }

    private func change(_ events: [History.Event], _ index: Int) -> [History.Event]? {
        let event = events[index]
        var result = events
        switch (self, event.kind) {
        case (.grantMovedIntoHold, .granted):
            guard let before = holdBefore(events, index), before.granted + 1 < before.ended else { return nil }
            result[index].at = before.ended - 1
        case (.endMovedPastNextGrant, .ended(.released, _)):
            guard let next = next(events, index, isGrant), !isGrantOfSame(events[next], event) else { return nil }
            result[index].at = events[next].at + 1
            result[index].kind = .ended(cause: .released, validUntil: events[next].at + 1)
        case (.endDropped, .ended(.released, _)):
            guard next(events, index, isGrant) != nil else { return nil }
            result.remove(at: index)
        case (.grantDropped, .granted):
            guard
                next(events, index, { if case .wrote = $0.kind { $0.process == event.process } else { false } }) != nil
            else { return nil }
            result.remove(at: index)
        case (.tokensSwapped, .granted(let token)):
            guard let next = next(events, index, isGrant), case .granted(let later) = events[next].kind else {
                return nil
            }
            result[index].kind = .granted(token: later)
            result[next].kind = .granted(token: token)
        case (.tokenRepeated, .granted(let token)):
            guard let next = next(events, index, isGrant) else { return nil }
            result[next].kind = .granted(token: token)
        case (.refusalTurned, .wrote(let token, false, let resource)):
            result[index].kind = .wrote(token: token, accepted: true, resource: resource)
        case (.writeMovedBack, .wrote(let token, true, _)):
            guard let last = events.last,
                case let later = events[(index + 1)...].last(where: {
                    if case .wrote(let other, true, _) = $0.kind {
                        $0.name == event.name && other > token
                    } else {
                        false
                    }
                }), later != nil
            else { return nil }
            result[index].at = last.at
        case (.grantDelayed, .granted):
            guard events[..<index].contains(where: { $0.kind == .waiting && $0.process == event.process }) else {
                return nil
            }
            // While a broker is down nobody expects a grant.
            let downs = events[..<index].count { $0.kind == .brokerDown }
            guard downs == events[..<index].count(where: { $0.kind == .brokerUp }) else { return nil }
            for later in index..<events.count {
                result[later].at += 2 * HistoryGenerator.bound
                if case .ended(let cause, let validUntil) = events[later].kind, validUntil >= event.at {
                    result[later].kind = .ended(cause: cause, validUntil: validUntil + 2 * HistoryGenerator.bound)
                }
            }
        case (.deathMovedBack, .processDied):
            guard let write = events[..<index].lastIndex(where: { $0.process == event.process && isWrite($0) }) else {
                return nil
            }
            result[index].at = events[write].at - 1
        default: return nil
        }
        return result
    }

    private func isGrant(_ event: History.Event) -> Bool { if case .granted = event.kind { true } else { false } }
    private func isWrite(_ event: History.Event) -> Bool { if case .wrote = event.kind { true } else { false } }
    private func isGrantOfSame(_ event: History.Event, _ other: History.Event) -> Bool {
        event.process == other.process
    }

    private func next(_ events: [History.Event], _ index: Int, _ matches: (History.Event) -> Bool) -> Int? {
        events.indices.first { $0 > index && events[$0].name == events[index].name && matches(events[$0]) }
    }

    /// The hold of another process that ended last before this grant, by a release.
    private func holdBefore(_ events: [History.Event], _ index: Int) -> (granted: UInt64, ended: UInt64)? {
        guard
            let grant = events.indices.last(where: {
                $0 < index && events[$0].name == events[index].name && isGrant(events[$0])
            }), events[grant].process != events[index].process,
            let end = events.indices.first(where: {
                guard $0 > grant, events[$0].process == events[grant].process else { return false }
                if case .ended(.released, _) = events[$0].kind { return true } else { return false }
            }), end < index
        else { return nil }
        return (events[grant].at, events[end].at)
    }
}
