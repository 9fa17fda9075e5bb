/// A value in an AMQP field table: queue arguments, message headers, server properties.
///
/// The kinds are those of RabbitMQ's dialect (https://www.rabbitmq.com/amqp-0-9-1-errata, section 3).
indirect enum FieldValue: Sendable, Equatable {
    case bool(Bool)
    case int8(Int8)
    case uint8(UInt8)
    case int16(Int16)
    case uint16(UInt16)
    case int32(Int32)
    case uint32(UInt32)
    case int64(Int64)
    case uint64(UInt64)
    case float(Float)
    case double(Double)
    case decimal(scale: UInt8, value: UInt32)
    case string(String)
    /// Also a string that is not UTF-8.
    case bytes([UInt8])
    case array([FieldValue])
    case table([String: FieldValue])
    /// Seconds since 1970.
    case timestamp(UInt64)
    case void

    /// Any kind of integer: brokers and clients choose the width as they like.
    var integer: Int64? {
        switch self {
        case .int8(let value): Int64(value)
        case .uint8(let value): Int64(value)
        case .int16(let value): Int64(value)
        case .uint16(let value): Int64(value)
        case .int32(let value): Int64(value)
        case .uint32(let value): Int64(value)
        case .int64(let value): value
        case .uint64(let value): Int64(exactly: value)
        default: nil
        }
    }

    var boolean: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    var array: [FieldValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    var table: [String: FieldValue]? {
        if case .table(let value) = self { value } else { nil }
    }
}

extension FieldValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral {
    init(stringLiteral value: String) { self = .string(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(integerLiteral value: Int64) { self = .int64(value) }
}
