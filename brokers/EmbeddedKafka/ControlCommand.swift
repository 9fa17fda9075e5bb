import CMQLockRdKafka

/// A line of the control protocol: what to break, and how to mend it.
///
///     broker ID|all down|up
///     rtt ID|all MILLISECONDS                 adds a delay to every answer
///     errors REQUEST ERROR [COUNT]            the next COUNT requests of that type fail with ERROR
///     errors REQUEST clear
///     coordinator group|transaction KEY ID    moves it to that broker
///     leader TOPIC PARTITION ID
///     topic NAME:PARTITIONS                   creates it
///     topic-error NAME ERROR                  what its metadata says; NO_ERROR mends it. A topic that is not there yet
///                                             is made without partitions, as Kafka answers for one that it refuses
///
/// REQUEST is Heartbeat, JoinGroup, …, or a number of the protocol; ERROR is as librdkafka names it, with or without a
/// number: ILLEGAL_GENERATION, 22.
enum ControlCommand: Equatable {
    case broker(Int32?, up: Bool)
    case roundTrip(Int32?, milliseconds: Int32)
    case errors(request: Int16, rd_kafka_resp_err_t, count: Int)
    case clearErrors(request: Int16)
    case coordinator(type: String, key: String, Int32)
    case leader(topic: String, partition: Int32, Int32)
    case createTopic(Topic)
    case topicError(String, rd_kafka_resp_err_t)

    init(_ line: String) throws(Failure) {
        let words = line.split(separator: " ").map(String.init)
        func word(_ index: Int) throws(Failure) -> String {
            guard index < words.count else { throw Failure("too few words: \(line)") }
            return words[index]
        }
        var taken = 3
        switch try word(0) {
        case "broker":
            let id = try brokerOrAll(word(1))
            switch try word(2) {
            case "up": self = .broker(id, up: true)
            case "down": self = .broker(id, up: false)
            default: throw Failure("a broker goes up or down: \(line)")
            }
        case "rtt": self = .roundTrip(try brokerOrAll(word(1)), milliseconds: try number(word(2)))
        case "errors":
            let request = try requestKey(word(1))
            let error = try word(2)
            if error == "clear" {
                self = .clearErrors(request: request)
            } else {
                if words.count > 3 { taken = 4 }
                let count = Int(try number(words.count > 3 ? words[3] : "1"))
                self = .errors(request: request, try errorCode(error), count: count)
            }
        case "coordinator":
            taken = 4
            let type = try word(1)
            guard ["group", "transaction"].contains(type) else { throw Failure("of a group or a transaction: \(line)") }
            self = .coordinator(type: type, key: try word(2), try number(word(3)))
        case "leader":
            taken = 4
            self = .leader(topic: try word(1), partition: try number(word(2)), try number(word(3)))
        case "topic":
            taken = 2
            self = .createTopic(try Topic(word(1)))
        case "topic-error": self = .topicError(try word(1), try errorCode(word(2)))
        default: throw Failure("unknown command: \(line)")
        }
        guard words.count == taken else { throw Failure("too many words: \(line)") }
    }
}

private func number(_ text: String) throws(Failure) -> Int32 {
    guard let number = Int32(text), number >= 0 else { throw Failure("not a number: \(text)") }
    return number
}

private func brokerOrAll(_ text: String) throws(Failure) -> Int32? { text == "all" ? nil : try number(text) }

private func errorCode(_ text: String) throws(Failure) -> rd_kafka_resp_err_t {
    if let number = Int32(text) { return rd_kafka_resp_err_t(rawValue: number) }
    var table: UnsafePointer<rd_kafka_err_desc>?
    var count = 0
    rd_kafka_get_err_descs(&table, &count)
    for entry in UnsafeBufferPointer(start: table, count: count) {
        // The table has gaps.
        if let name = entry.name, String(cString: name) == text { return entry.code }
    }
    throw Failure("librdkafka knows no error \(text)")
}

/// Numbers of the Kafka protocol: https://kafka.apache.org/protocol#protocol_api_keys
private let requestKeys: [String: Int16] = [
    "Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetCommit": 8, "OffsetFetch": 9,
    "FindCoordinator": 10, "JoinGroup": 11, "Heartbeat": 12, "LeaveGroup": 13, "SyncGroup": 14, "InitProducerId": 22,
    "AddPartitionsToTxn": 24, "AddOffsetsToTxn": 25, "EndTxn": 26, "TxnOffsetCommit": 28,
]

private func requestKey(_ text: String) throws(Failure) -> Int16 {
    if let key = requestKeys[text] ?? Int16(text) { return key }
    throw Failure("unknown request \(text); known: \(requestKeys.keys.sorted().joined(separator: " "))")
}
