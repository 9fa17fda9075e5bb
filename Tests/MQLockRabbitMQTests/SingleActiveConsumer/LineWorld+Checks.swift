import MQLock

@testable import MQLockRabbitMQ

/// What has to hold at every grant and at every proof.
extension LineWorld {
    /// Whether the broker has taken the client's place, and the news are on their way.
    func isBeingNotified(_ client: Client) -> Bool {
        guard let id = client.channel, let way = ways.first(where: { $0.id == id }) else { return false }
        return way.replies.contains {
            switch $0 {
            case .closed, .cancelled, .early: true
            default: false
            }
        }
    }

    func isBeingServed(_ index: Int) -> Bool {
        guard let id = clients[index].channel else { return false }
        return ways.contains { $0.id == id && !$0.replies.isEmpty }
    }

    /// - Parameter excludes: whether it is the first place in line that excludes.
    func grant(_ index: Int, _ fence: FencingToken, excludes: Bool = true) throws {
        guard clients[index].wants != nil else { throw Violation(.other, "a grant to nobody") }
        clients[index].wants = nil
        clients[index].held = fence
        grants += 1
        largest[index] = max(largest[index], fence.rawValue)
        // Told late of a deletion or a closed channel, a contender may be granted what is gone; it is told right after.
        guard !isBeingNotified(clients[index]), let nonce = clients[index].first?.nonce else { return }
        let last = orphaned.contains(nonce) ? fences[nonce] ?? 0 : lastFence
        guard fence.rawValue > last else { throw Violation(.order, "fencing token \(fence) after \(last)") }
        if let raised, raised.vanishings == vanishings, fence.rawValue <= raised.fence {
            throw Violation(.raise, "fencing token \(fence), and \(raised.fence) was to be passed")
        }
        fences[nonce] = fence.rawValue
        lastFence = max(lastFence, fence.rawValue)
        for (other, client) in clients.enumerated() where excludes && other != index {
            guard client.held != nil, !client.hasLostPlace, !isBeingNotified(client) else { continue }
            throw Violation(.exclusion, "two holders, clients \(other) and \(index)")
        }
        grantees.append(index)
    }

    func proven(_ index: Int) throws {
        proofs += 1
        let sent = clients[index].sent
        guard sent.vanishings == vanishings, !isBeingNotified(clients[index]) else { return }
        guard grantees[sent.grants...].allSatisfy({ $0 == index }) else {
            throw Violation(.proof, "client \(index) proves that nobody was granted since, and somebody was")
        }
    }

    /// Client `index` is told that all later grants are above this.
    func raised(_ index: Int, _ fence: FencingToken) throws {
        guard let wanted = clients[index].raising else { return }
        clients[index].raising = nil
        guard fence.rawValue > wanted else { throw Violation(.raise, "raised to \(fence), not above \(wanted)") }
        raises += 1
        // Whoever was cut off has raised nothing, and is not told that it has.
        guard !isBeingNotified(clients[index]) else { return }
        raised = (max(fence.rawValue, raised?.fence ?? 0), vanishings)
    }

    func exchanged() { exchanges += 1 }
}
