import MQLock

/// The network between one client and the broker, with what is in flight on it and the faults put into it.
struct Link: Sendable {
    private var requests: [Request] = []
    private var deliveries: [Delivery] = []
    var holdsRequests = false
    var holdsDeliveries = false
    /// Stopped as by SIGSTOP: events for the client wait, its clock goes on.
    var isPaused = false
    /// Events that the client would have handled if it had not been paused.
    var inbox: [ClientState.Event] = []
    var requestsToDrop = 0
    var deliveriesToDrop = 0
    var deliveriesToDouble = 0

    func inFlight(_ direction: InMemoryLocks.Direction) -> Int {
        direction == .toBroker ? requests.count : deliveries.count
    }

    func canDeliver(_ direction: InMemoryLocks.Direction) -> Bool {
        switch direction {
        case .toBroker: !requests.isEmpty && !holdsRequests
        case .toClient: !deliveries.isEmpty && !holdsDeliveries && !isPaused
        }
    }

    mutating func append(_ request: Request) {
        if requestsToDrop > 0, !request.isRenewal {
            requestsToDrop -= 1
            return
        }
        requests.append(request)
    }

    mutating func append(_ delivery: Delivery) {
        if !delivery.isRenewal {
            if deliveriesToDrop > 0 {
                deliveriesToDrop -= 1
                return
            }
            if deliveriesToDouble > 0 {
                deliveriesToDouble -= 1
                deliveries.append(delivery)
            }
        }
        deliveries.append(delivery)
    }

    mutating func takeRequest() -> Request? { requests.isEmpty ? nil : requests.removeFirst() }
    mutating func takeDelivery() -> Delivery? { deliveries.isEmpty ? nil : deliveries.removeFirst() }
}
