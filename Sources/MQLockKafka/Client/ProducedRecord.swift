import CMQLockRdKafka

/// A header of a record: a name, which can occur more than once, and bytes.
public struct RecordHeader: Hashable, Sendable {
    /// The header's name.
    public var name: String
    /// Its value; Kafka also allows headers without one.
    public var value: [UInt8]?

    /// A header of bytes.
    public init(_ name: String, _ value: [UInt8]?) { (self.name, self.value) = (name, value) }

    /// A header of text.
    public init(_ name: String, _ text: String) { self.init(name, Array(text.utf8)) }
}

/// A record to write.
struct ProducedRecord: Sendable, Equatable {
    var topic: String
    /// Negative: the partition of the key.
    var partition: Int32
    var key: [UInt8]?
    var value: [UInt8]?
    var headers: [RecordHeader] = []

    /// Written to the key's partition; without a key, to any.
    static let byKey: Int32 = -1

    /// Queues the record, which the library copies.
    /// - Parameter id: comes back with the record's report.
    func produce(_ client: ClientHandle, id: UInt = 0) throws(KafkaFailure) {
        let list = try headerList()
        let error: OpaquePointer? = topic.withCString { topic in
            withBytes(key) { key in
                withBytes(value) { value in
                    var fields = [rd_kafka_vu_t](repeating: rd_kafka_vu_t(), count: list == nil ? 6 : 7)
                    fields[0].vtype = RD_KAFKA_VTYPE_TOPIC
                    fields[0].u.cstr = topic
                    fields[1].vtype = RD_KAFKA_VTYPE_PARTITION
                    fields[1].u.i32 = partition
                    fields[2].vtype = RD_KAFKA_VTYPE_KEY
                    fields[2].u.mem = .init(ptr: key.baseAddress, size: key.count)
                    fields[3].vtype = RD_KAFKA_VTYPE_VALUE
                    fields[3].u.mem = .init(ptr: value.baseAddress, size: value.count)
                    fields[4].vtype = RD_KAFKA_VTYPE_MSGFLAGS
                    fields[4].u.i = Int32(RD_KAFKA_MSG_F_COPY)
                    fields[5].vtype = RD_KAFKA_VTYPE_OPAQUE
                    fields[5].u.ptr = UnsafeMutableRawPointer(bitPattern: id)
                    if let list {
                        fields[6].vtype = RD_KAFKA_VTYPE_HEADERS
                        fields[6].u.headers = list
                    }
                    return rd_kafka_produceva(client.raw, fields, fields.count)
                }
            }
        }
        guard let error else { return }
        // The library takes ownership of the list only when it accepts the record.
        if let list { rd_kafka_headers_destroy(list) }
        throw KafkaFailure(taking: error)
    }

    private func headerList() throws(KafkaFailure) -> OpaquePointer? {
        guard !headers.isEmpty else { return nil }
        guard let list = rd_kafka_headers_new(headers.count) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__INVALID_ARG, "no memory for headers")
        }
        for header in headers {
            let code = withBytes(header.value) {
                rd_kafka_header_add(list, header.name, -1, $0.baseAddress, $0.count)
            }
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                rd_kafka_headers_destroy(list)
                throw KafkaFailure(code)
            }
        }
        return list
    }

    /// A null pointer means no value, which differs from an empty one.
    private func withBytes<Result>(_ bytes: [UInt8]?, _ body: (UnsafeMutableRawBufferPointer) -> Result) -> Result {
        guard var bytes else { return body(UnsafeMutableRawBufferPointer(start: nil, count: 0)) }
        guard !bytes.isEmpty else {
            var nothing: UInt8 = 0
            return withUnsafeMutableBytes(of: &nothing) { body(UnsafeMutableRawBufferPointer(rebasing: $0[..<0])) }
        }
        // The library only reads through the mutable pointer.
        return bytes.withUnsafeMutableBytes(body)
    }
}
