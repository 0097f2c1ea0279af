# Writes a folder in the form of /sys/class/kfd/kfd/topology: node 0 is the host, node 1 a GPU with its own memory.
# Files are lines of a name and a decimal number; what the runtime does not ask for, or takes as 0, is left out.
function(wavetile_topology dir)
  cmake_parse_arguments(
    PARSE_ARGV 1 gpu "" "VERSION;DEVICE;COMPUTE_UNITS;SIMDS;WAVES;LANES;SHADER_ENGINES;ARRAYS;DIES;SDMA_ENGINES" "")
  math(EXPR simds "${gpu_COMPUTE_UNITS} * ${gpu_SIMDS}")
  math(EXPR arrays_per_engine "${gpu_ARRAYS} / ${gpu_SHADER_ENGINES}")
  math(EXPR units_per_array "(${gpu_COMPUTE_UNITS} + ${gpu_ARRAYS} - 1) / ${gpu_ARRAYS}")
  set(gib 1073741824)
  math(EXPR memory "16 * ${gib}")
  # Doorbells of 64 bits, and shared virtual memory: without it the model's interface knows no locked host memory.
  math(EXPR capability "(2 << 12) | (1 << 27)")

  file(REMOVE_RECURSE ${dir})
  file(WRITE ${dir}/generation_id "1\n")
  file(WRITE ${dir}/system_properties "platform_oem 0\nplatform_id 0\nplatform_rev 0\n")

  file(WRITE ${dir}/nodes/0/gpu_id "0\n")
  file(WRITE ${dir}/nodes/0/properties "cpu_cores_count 1\nsimd_count 0\nmem_banks_count 1\nio_links_count 1\n")
  # Heap 0 is the host's memory.
  file(WRITE ${dir}/nodes/0/mem_banks/0/properties
       "heap_type 0\nsize_in_bytes ${memory}\nflags 0\nwidth 64\nmem_clk_max 3200\n")

  file(WRITE ${dir}/nodes/1/gpu_id "2\n") # the node and one
  file(
    WRITE ${dir}/nodes/1/properties
    "cpu_cores_count 0\n"
    "simd_count ${simds}\n"
    "mem_banks_count 1\n"
    "io_links_count 1\n"
    "capability ${capability}\n"
    "max_waves_per_simd ${gpu_WAVES}\n"
    "lds_size_in_kb 64\n"
    "wave_front_size ${gpu_LANES}\n"
    "array_count ${gpu_ARRAYS}\n"
    "simd_arrays_per_engine ${arrays_per_engine}\n"
    "cu_per_simd_array ${units_per_array}\n"
    "simd_per_cu ${gpu_SIMDS}\n"
    "max_slots_scratch_cu 32\n"
    "gfx_target_version ${gpu_VERSION}\n"
    "vendor_id 4098\n"
    "device_id ${gpu_DEVICE}\n"
    "location_id 256\n"
    "drm_render_minor 128\n"
    "num_sdma_engines ${gpu_SDMA_ENGINES}\n"
    "num_sdma_queues_per_engine 6\n"
    "num_cp_queues 8\n"
    "num_xcc ${gpu_DIES}\n"
    "max_engine_clk_fcompute 2900\n"
    "local_mem_size ${memory}\n"
    "unique_id 1\n")
  # Heap 1 is device memory that the host can see, all of it.
  file(WRITE ${dir}/nodes/1/mem_banks/0/properties
       "heap_type 1\nsize_in_bytes ${memory}\nflags 0\nwidth 256\nmem_clk_max 1000\n")

  # PCIe links both ways.
  foreach(from 0 1)
    math(EXPR to "1 - ${from}")
    file(WRITE ${dir}/nodes/${from}/io_links/0/properties
         "type 2\nnode_from ${from}\nnode_to ${to}\nweight 20\nmax_bandwidth 16000\nflags 1\n")
  endforeach()
endfunction()
