@testable import MQLockRabbitMQ

/// The queues of a `FakeBroker`, as far as locks can tell them from RabbitMQ's: declarations that do not fit are refused,
/// what is not acknowledged returns and is counted, an exclusive queue goes with its connection. A pure value: what a
/// client asks goes in, what is to be sent to whom comes out.
struct FakeQueues {
    /// A channel of a connection.
    struct Place: Hashable {
        let connection: Int
        let channel: UInt16
    }

    typealias Output = [(connection: Int, bytes: [UInt8])]

    struct Declaration {
        var queue = ""
        var isPassive = false
        var isExclusive = false
        var arguments: [String: FieldValue] = [:]
    }

    fileprivate struct Message {
        let properties: [UInt8]
        let body: [UInt8]
        var returns: Int64 = 0
    }

    private struct Consumer {
        let place: Place
        let tag: String
        let acknowledges: Bool
        let room: Int
        var isOverdue = false
    }

    private struct Queue {
        let owner: Int?
        let arguments: [String: FieldValue]
        var messages: [Message] = []
        var consumers: [Consumer] = []
    }

    private struct Unacknowledged {
        let place: Place
        let queue: String
        /// Nil for what was asked for.
        let consumer: String?
        var message: Message
    }

    private var queues: [String: Queue] = [:]
    private var unacknowledged: [UInt64: Unacknowledged] = [:]
    private var deliveries: UInt64 = 0
    private var prefetch: [Place: Int] = [:]
    /// Closed by us, and the client has not confirmed it: what it sends there is not looked at.
    private(set) var closing: Set<Place> = []

    // MARK: Channels

    mutating func limit(_ place: Place, to prefetch: Int) { self.prefetch[place] = prefetch }

    /// The channel is no more: consumers go before their messages return.
    mutating func end(_ place: Place) -> Output {
        closing.remove(place)
        prefetch[place] = nil
        for queue in queues.keys { queues[queue]?.consumers.removeAll { $0.place == place } }
        return giveBack { $0.place == place }
    }

    mutating func end(connection: Int) -> Output {
        closing = closing.filter { $0.connection != connection }
        prefetch = prefetch.filter { $0.key.connection != connection }
        for queue in queues.keys { queues[queue]?.consumers.removeAll { $0.place.connection == connection } }
        queues = queues.filter { $0.value.owner != connection }
        return giveBack { $0.place.connection == connection }
    }

    private mutating func refuse(
        _ place: Place, _ code: UInt16, _ text: String, _ method: (UInt16, UInt16)
    ) -> Output {
        let output = end(place)
        closing.insert(place)
        let arguments =
            Frames.bytes(code) + Frames.short(String(text.prefix(255))) + Frames.bytes(method.0)
            + Frames.bytes(method.1)
        return output + [(place.connection, Frames.method(place.channel, 20, 40, arguments))]
    }

    private mutating func obstacle(_ queue: String, _ place: Place, _ method: (UInt16, UInt16)) -> Output? {
        guard let there = queues[queue] else {
            return refuse(place, 404, "NOT_FOUND - no queue '\(queue)' in vhost '/'", method)
        }
        guard there.owner ?? place.connection == place.connection else {
            return refuse(
                place, 405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '\(queue)' in vhost '/'",
                method)
        }
        return nil
    }

    // MARK: Queues

    mutating func declare(_ declaration: Declaration, _ place: Place) -> Output {
        let (queue, method) = (declaration.queue, (UInt16(50), UInt16(10)))
        if declaration.isPassive || queues[queue] != nil {
            if let refusal = obstacle(queue, place, method) { return refusal }
        }
        if !declaration.isPassive {
            if let words = difference(declaration) {
                return refuse(place, 406, "PRECONDITION_FAILED - \(words)", method)
            }
            if queues[queue] == nil {
                queues[queue] = Queue(
                    owner: declaration.isExclusive ? place.connection : nil, arguments: declaration.arguments)
            }
        }
        let counts = [queues[queue]?.messages.count ?? 0, queues[queue]?.consumers.count ?? 0]
        let answer = Frames.short(queue) + counts.flatMap { Frames.bytes(UInt32($0)) }
        return [(place.connection, Frames.method(place.channel, 50, 11, answer))]
    }

    /// The broker's words for what does not fit.
    private func difference(_ declaration: Declaration) -> String? {
        let flag = QueueArguments.singleActiveConsumerFlag
        guard let there = queues[declaration.queue]?.arguments else {
            guard case .string(let value)? = declaration.arguments[flag] else { return nil }
            return "invalid arg '\(flag)' for queue '\(declaration.queue)' in vhost '/': \(value)"
        }
        let names = Set(there.keys).union(declaration.arguments.keys).sorted()
        guard let name = names.first(where: { there[$0] != declaration.arguments[$0] }) else { return nil }
        func text(_ value: FieldValue?) -> String {
            switch value {
            case .string(let text): "the value '\(text)' of type 'longstr'"
            case .int64(let number): "the value '\(number)' of type 'signedint'"
            case .bool(let flag): "the value '\(flag)' of type 'bool'"
            default: "none"
            }
        }
        return """
            inequivalent arg '\(name)' for queue '\(declaration.queue)' in vhost '/': received \
            \(text(declaration.arguments[name])) but current is \(text(there[name]))
            """
    }

    mutating func delete(_ queue: String, _ place: Place) -> Output {
        let gone = queues.removeValue(forKey: queue)
        unacknowledged = unacknowledged.filter { $0.value.queue != queue }
        let count = Frames.bytes(UInt32(gone?.messages.count ?? 0))
        return (gone?.consumers ?? []).map {
            ($0.place.connection, Frames.method($0.place.channel, 60, 30, Frames.short($0.tag) + [1]))
        } + [(place.connection, Frames.method(place.channel, 50, 41, count))]
    }

    // MARK: Messages

    mutating func consume(_ queue: String, tag: String, acknowledges: Bool, _ place: Place) -> Output {
        if let refusal = obstacle(queue, place, (60, 20)) { return refusal }
        let room = prefetch[place] ?? 0
        queues[queue]?.consumers.append(
            Consumer(place: place, tag: tag, acknowledges: acknowledges, room: room == 0 ? .max : room))
        return [(place.connection, Frames.method(place.channel, 60, 21, Frames.short(tag)))] + deliver(queue)
    }

    mutating func cancel(_ tag: String, _ place: Place) {
        for queue in queues.keys { queues[queue]?.consumers.removeAll { $0.place == place && $0.tag == tag } }
    }

    mutating func get(_ queue: String, _ place: Place) -> Output {
        if let refusal = obstacle(queue, place, (60, 70)) { return refusal }
        guard queues[queue]?.messages.isEmpty == false, let message = queues[queue]?.messages.removeFirst() else {
            return [(place.connection, Frames.method(place.channel, 60, 72, Frames.short("")))]
        }
        let tag = hand(message, of: queue, to: place, consumer: nil, acknowledges: true)
        let answer =
            Frames.bytes(tag) + [message.returns > 0 ? 1 : 0] + Frames.short(ObjectNames.exchange) + Frames.short(queue)
            + Frames.bytes(UInt32(0))
        return [(place.connection, Frames.method(place.channel, 60, 71, answer) + message.content(place.channel))]
    }

    mutating func publish(_ properties: [UInt8], _ body: [UInt8], to queue: String, _ place: Place) -> Output {
        let message = Message(properties: properties, body: body)
        guard queues[queue] != nil else {
            let arguments =
                Frames.bytes(UInt16(312)) + Frames.short("NO_ROUTE") + Frames.short(ObjectNames.exchange)
                + Frames.short(queue)
            return [
                (place.connection, Frames.method(place.channel, 60, 50, arguments) + message.content(place.channel))
            ]
        }
        queues[queue]?.messages.append(message)
        return deliver(queue)
    }

    mutating func settle(_ tag: UInt64, returns: Bool, _ place: Place) -> Output {
        guard let settled = unacknowledged[tag], settled.place == place else { return [] }
        if returns { return giveBack(tags: [tag]) }
        unacknowledged[tag] = nil
        return deliver(settled.queue)
    }

    /// What becomes of whoever keeps a delivery for too long.
    enum Overdue: CaseIterable {
        /// Up to RabbitMQ 4.2, and of what was asked for also later.
        case closesChannel
        /// From 4.3: the consumer is notified, and stays attached; it is not served any more.
        case cancelsConsumer
    }

    static func overdueWords(on channel: UInt16) -> String {
        """
        PRECONDITION_FAILED - delivery acknowledgement on channel \(channel) timed out. Timeout value used: 1800000 ms. This \
        timeout value can be configured, see consumers doc guide to learn more
        """
    }

    /// All that is out goes back, as it is overdue.
    /// - Returns: also where it was.
    mutating func takeBack(_ overdue: Overdue) -> (places: [Place], output: Output) {
        var output: Output = []
        let late = Dictionary(grouping: unacknowledged.values, by: \.place).mapValues { Set($0.map(\.consumer)) }
        for (place, tags) in late {
            if overdue == .closesChannel || tags.contains(nil) {
                output += refuse(place, 406, Self.overdueWords(on: place.channel), (0, 0))
                continue
            }
            for name in queues.keys {
                for index in queues[name]?.consumers.indices ?? 0..<0 {
                    guard let consumer = queues[name]?.consumers[index], consumer.place == place,
                        tags.contains(consumer.tag)
                    else { continue }
                    queues[name]?.consumers[index].isOverdue = true
                    output.append(
                        (place.connection, Frames.method(place.channel, 60, 30, Frames.short(consumer.tag) + [1])))
                }
            }
            output += giveBack { $0.place == place }
        }
        return (Array(late.keys), output)
    }

    private mutating func giveBack(_ isReturned: (Unacknowledged) -> Bool) -> Output {
        giveBack(tags: unacknowledged.filter { isReturned($0.value) }.map(\.key).sorted())
    }

    /// To the front, in their order.
    private mutating func giveBack(tags: [UInt64]) -> Output {
        var touched: Set<String> = []
        for tag in tags.reversed() {
            guard var returned = unacknowledged.removeValue(forKey: tag) else { continue }
            returned.message.returns += 1
            queues[returned.queue]?.messages.insert(returned.message, at: 0)
            touched.insert(returned.queue)
        }
        return touched.sorted().flatMap { deliver($0) }
    }

    private mutating func hand(
        _ message: Message, of queue: String, to place: Place, consumer: String?, acknowledges: Bool
    ) -> UInt64 {
        deliveries += 1
        if acknowledges {
            unacknowledged[deliveries] = Unacknowledged(
                place: place, queue: queue, consumer: consumer, message: message)
        }
        return deliveries
    }

    private mutating func deliver(_ name: String) -> Output {
        var output: Output = []
        while let queue = queues[name], let message = queue.messages.first {
            let isSingle = queue.arguments[QueueArguments.singleActiveConsumerFlag]?.boolean == true
            let attached = queue.consumers.filter { !$0.isOverdue }
            let served = attached.prefix(isSingle ? 1 : .max).first { consumer in
                unacknowledged.values.count { $0.place == consumer.place && $0.consumer == consumer.tag }
                    < consumer.room
            }
            guard let served else { break }
            queues[name]?.messages.removeFirst()
            let tag = hand(
                message, of: name, to: served.place, consumer: served.tag, acknowledges: served.acknowledges)
            let arguments =
                Frames.short(served.tag) + Frames.bytes(tag) + [message.returns > 0 ? 1 : 0]
                + Frames.short(ObjectNames.exchange) + Frames.short(name)
            output.append(
                (
                    served.place.connection,
                    Frames.method(served.place.channel, 60, 60, arguments) + message.content(served.place.channel)
                ))
        }
        return output
    }
}

extension FakeQueues.Message {
    /// Header and body, as frames.
    fileprivate func content(_ channel: UInt16) -> [UInt8] {
        let start = Frames.bytes(UInt16(60)) + [0, 0] + Frames.bytes(UInt64(body.count))
        return Frames.frame(2, channel, start + counted) + Frames.body(channel, body)
    }

    /// The properties with the broker's count of returns. What we publish begins with its content type and has no headers.
    private var counted: [UInt8] {
        guard returns > 0, properties.count > 2, properties[0] & 0xE0 == 0x80 else { return properties }
        let pair = Frames.short("x-delivery-count") + [UInt8(ascii: "l")] + Frames.bytes(returns)
        var result = properties
        result[0] |= 0x20
        result.insert(contentsOf: Frames.bytes(UInt32(pair.count)) + pair, at: 3 + Int(properties[2]))
        return result
    }
}
