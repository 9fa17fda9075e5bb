import CMQLockRabbitMQ

/// Field tables from and to the library's form.
extension FieldValue {
    /// Deeper tables are cut off (as void): nobody needs them, and any sender's message could exhaust the stack.
    static let depthLimit = 16

    static func encode(_ table: [String: FieldValue], in arena: Arena) -> amqp_table_t {
        guard !table.isEmpty else { return amqp_table_t(num_entries: 0, entries: nil) }
        let entries = arena.allocate(amqp_table_entry_t.self, count: table.count)
        for (index, (key, value)) in table.enumerated() {
            (entries + index).initialize(
                to: amqp_table_entry_t(key: arena.bytes(key), value: value.encoded(in: arena)))
        }
        return amqp_table_t(num_entries: Int32(table.count), entries: entries)
    }

    static func decode(_ table: amqp_table_t, depth: Int = 0) -> [String: FieldValue] {
        var result: [String: FieldValue] = [:]
        guard table.num_entries > 0, let entries = table.entries else { return result }
        result.reserveCapacity(Int(table.num_entries))
        for entry in UnsafeBufferPointer(start: entries, count: Int(table.num_entries)) {
            result[String(entry.key)] = FieldValue(entry.value, depth: depth)
        }
        return result
    }

    private func encoded(in arena: Arena) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        func set(_ kind: amqp_field_value_kind_t) { field.kind = UInt8(kind.rawValue) }
        switch self {
        case .bool(let value):
            set(AMQP_FIELD_KIND_BOOLEAN)
            field.value.boolean = value ? 1 : 0
        case .int8(let value):
            set(AMQP_FIELD_KIND_I8)
            field.value.i8 = value
        case .uint8(let value):
            set(AMQP_FIELD_KIND_U8)
            field.value.u8 = value
        case .int16(let value):
            set(AMQP_FIELD_KIND_I16)
            field.value.i16 = value
        case .uint16(let value):
            set(AMQP_FIELD_KIND_U16)
            field.value.u16 = value
        case .int32(let value):
            set(AMQP_FIELD_KIND_I32)
            field.value.i32 = value
        case .uint32(let value):
            set(AMQP_FIELD_KIND_U32)
            field.value.u32 = value
        case .int64(let value):
            set(AMQP_FIELD_KIND_I64)
            field.value.i64 = value
        case .uint64(let value):
            set(AMQP_FIELD_KIND_U64)
            field.value.u64 = value
        case .float(let value):
            set(AMQP_FIELD_KIND_F32)
            field.value.f32 = value
        case .double(let value):
            set(AMQP_FIELD_KIND_F64)
            field.value.f64 = value
        case .decimal(let scale, let value):
            set(AMQP_FIELD_KIND_DECIMAL)
            field.value.decimal = amqp_decimal_t(decimals: scale, value: value)
        case .string(let value):
            set(AMQP_FIELD_KIND_UTF8)
            field.value.bytes = arena.bytes(value)
        case .bytes(let value):
            set(AMQP_FIELD_KIND_BYTES)
            field.value.bytes = arena.bytes(value)
        case .timestamp(let value):
            set(AMQP_FIELD_KIND_TIMESTAMP)
            field.value.u64 = value
        case .void:
            set(AMQP_FIELD_KIND_VOID)
        case .table(let value):
            set(AMQP_FIELD_KIND_TABLE)
            field.value.table = Self.encode(value, in: arena)
        case .array(let values):
            set(AMQP_FIELD_KIND_ARRAY)
            let entries = arena.allocate(amqp_field_value_t.self, count: values.count)
            for (index, value) in values.enumerated() {
                (entries + index).initialize(to: value.encoded(in: arena))
            }
            field.value.array = amqp_array_t(num_entries: Int32(values.count), entries: entries)
        }
        return field
    }

    private init(_ field: amqp_field_value_t, depth: Int) {
        switch amqp_field_value_kind_t(rawValue: .init(field.kind)) {
        case AMQP_FIELD_KIND_BOOLEAN: self = .bool(field.value.boolean != 0)
        case AMQP_FIELD_KIND_I8: self = .int8(field.value.i8)
        case AMQP_FIELD_KIND_U8: self = .uint8(field.value.u8)
        case AMQP_FIELD_KIND_I16: self = .int16(field.value.i16)
        case AMQP_FIELD_KIND_U16: self = .uint16(field.value.u16)
        case AMQP_FIELD_KIND_I32: self = .int32(field.value.i32)
        case AMQP_FIELD_KIND_U32: self = .uint32(field.value.u32)
        case AMQP_FIELD_KIND_I64: self = .int64(field.value.i64)
        case AMQP_FIELD_KIND_U64: self = .uint64(field.value.u64)
        case AMQP_FIELD_KIND_F32: self = .float(field.value.f32)
        case AMQP_FIELD_KIND_F64: self = .double(field.value.f64)
        case AMQP_FIELD_KIND_DECIMAL:
            self = .decimal(scale: field.value.decimal.decimals, value: field.value.decimal.value)
        case AMQP_FIELD_KIND_UTF8:
            let bytes = [UInt8](field.value.bytes)
            self = String(validating: bytes, as: UTF8.self).map(FieldValue.string) ?? .bytes(bytes)
        case AMQP_FIELD_KIND_BYTES: self = .bytes([UInt8](field.value.bytes))
        case AMQP_FIELD_KIND_TIMESTAMP: self = .timestamp(field.value.u64)
        case AMQP_FIELD_KIND_TABLE where depth < Self.depthLimit:
            self = .table(Self.decode(field.value.table, depth: depth + 1))
        case AMQP_FIELD_KIND_ARRAY where depth < Self.depthLimit:
            let values = UnsafeBufferPointer(
                start: field.value.array.entries, count: Int(max(0, field.value.array.num_entries)))
            self = .array(values.map { FieldValue($0, depth: depth + 1) })
        default: self = .void
        }
    }
}
